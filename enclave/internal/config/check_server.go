package config

import "github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"

// server is what a section says of its PostgreSQL server. The keys have the same names in every section.
type server struct {
	section             string
	used                bool // its backend is postgres
	url, source, region string
}

// servers are those of all sections.
func (c *Config) servers() []server {
	state, slashing := c.SignerState, c.AntiSlashing
	return []server{
		{"signer_state", state.Backend == "postgres", state.URL, state.PasswordSource, state.Region},
		{"anti_slashing", slashing.Backend == "postgres", slashing.URL, slashing.PasswordSource, slashing.Region},
	}
}

func (s server) key(name string) string { return s.section + "." + name }

func (c *checker) server(s server) {
	if s.url != "" {
		_, err := parseStoreURL(s.url)
		if err == nil {
			_, err = pgurl.Parse(s.url)
		}
		if err != nil {
			c.refuse(s.key("url"), nil, "%w", err)
		}
	} else if s.used {
		c.refuse(s.key("url"), on(s.key("backend")), "must be set: %s postgres connects to it", s.key("backend"))
	}
	if s.source != "url" {
		c.passwordSource(s)
	}
}

// passwordSource checks what a password from elsewhere asks of the URL: above all that it reaches nobody else.
func (c *checker) passwordSource(s server) {
	key, url := s.key("password_source"), s.key("url")
	u, err := parseStoreURL(s.url)
	target, _ := pgurl.Parse(s.url) // refused already if it cannot be read
	iam := s.source == "rds_iam"
	switch {
	case !s.used:
		c.refuse(key, on(s.key("backend")), "%s is for %s postgres", s.source, s.key("backend"))
	case iam && s.region == "":
		c.refuse(s.key("region"), on(key), "must be set: a token of password_source rds_iam is for the databases of one region")
	case iam && target.Unix():
		c.refuse(url, on(key), "names a unix socket, behind which no server takes a token of password_source rds_iam")
	case err == nil && u.password:
		c.refuse(url, on(key), "must hold no password: password_source is %s", s.source)
	case target.Weak():
		c.refuse(url, on(key), "sslmode %s is refused: whoever stands between would get what password_source %s gives; want verify-full, the default", quote(target.SSLMode), s.source)
	}
}

// hidden refuses a password where the parent reads it.
func (c *checker) hidden(s server, platform []string) {
	if u, err := parseStoreURL(s.url); err == nil && u.password {
		c.refuse(s.key("url"), platform, "must hold no password on tee.platform nitro: the parent reads this file")
	}
}

// verifiedServer refuses a server that could be anybody's.
func (c *checker) verifiedServer(s server, where string, because []string) {
	if target, err := pgurl.Parse(s.url); err == nil && s.used && target.Weak() {
		c.refuse(s.key("url"), because, "sslmode %s is refused %s: whoever stands between could be the database; want verify-full, the default", quote(target.SSLMode), where)
	}
}
