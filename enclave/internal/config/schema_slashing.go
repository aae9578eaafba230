package config

import "time"

// AntiSlashing is the slashing protection store.
type AntiSlashing struct {
	// Kind of store. postgres and dynamodb may be shared by several signers; sqlite serves exactly one; noop
	// records nothing and is for tests alone. There is no default: nobody should sign without having chosen.
	// Trust: measured. Whoever can roll the store back can make this signer vote twice.
	Backend string `koanf:"backend" enum:"sqlite postgres dynamodb noop" measured:"true" example:"sqlite"`
	// URL of the postgres backend, postgres://user@host:port/database?sslmode=… , or for a unix socket
	// postgres://user@/database?host=/directory. A password in it is left out of everything printed and of the measured digest,
	// so that rotating it changes no digest; platform nitro refuses one, because the parent reads this file. Without sslmode the
	// server's certificate and name are verified (verify-full); verify-ca, require and disable are weaker, and refused on
	// platform nitro and with PRODUCTION=true.
	// Trust: measured without the password. Whoever can write to that database can make this signer vote twice.
	URL string `koanf:"url" url:"true" measured:"true" example:"postgres://signer@db.internal:5432/slashing?sslmode=verify-full"`
	// Certificates of the authorities that vouch for the server of the postgres or dynamodb backend, in PEM; line breaks may be spaces, as a
	// folded YAML text (>-) makes them. Empty means the authorities of the system, in an enclave those of Mozilla's list that are
	// compiled in.
	// Trust: measured. Whoever has such an authority's key, and stands between, is the database.
	CAPEM string `koanf:"ca_pem" measured:"true" example:"-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"`
	// Connections to the postgres backend at once. One is in use while votes are written, whatever their number; more are there for
	// imports, exports and health checks, which votes must not wait for. Zero and one are refused.
	// Trust: none.
	PoolSize int `koanf:"pool_size" default:"8" range:"2-100"`
	// Whether the postgres backend is reached over IPv4 alone, for networks whose IPv6 is broken. It changes nothing in an enclave,
	// which reaches the database through its parent.
	// Trust: none.
	ForceIPv4 bool `koanf:"force_ipv4" default:"false"`
	// Whether the start of a signer brings the schema of the postgres backend to its release (auto), or only checks it (check), for
	// a role that may not create tables: "containment-chamber slashing migrate", with another role, then does it before.
	// Trust: none.
	Migrate string `koanf:"migrate" default:"auto" enum:"auto check"`
	// Where the password of the postgres backend comes from: url, or rds_iam, a token that is made for each connection from AWS credentials
	// (RDS IAM authentication), for the database of anti_slashing.region. With rds_iam the URL holds no password, and the server
	// must be verified.
	// Trust: measured. Whoever has the same AWS credentials can write to the database.
	PasswordSource string `koanf:"password_source" default:"url" enum:"url rds_iam" measured:"true"`
	// Whether the record may be reached with AWS credentials, which the parent relays and therefore holds as well: on platform nitro
	// the dynamodb backend and password_source rds_iam need it. Elsewhere it changes nothing.
	// Trust: measured. With it whoever controls the host can rewrite the slashing record, and so make this signer vote twice.
	TrustParent bool `koanf:"trust_parent" default:"false" measured:"true"`
	// The AWS region of the dynamodb backend, and of password_source rds_iam. Needed unless dynamodb.table is an ARN,
	// which names it; nothing is taken from the environment.
	// Trust: measured. In another region is another table.
	Region string `koanf:"region" measured:"true" example:"eu-central-1"`
	// The dynamodb backend.
	DynamoDB DynamoDB `koanf:"dynamodb"`
	// The sqlite backend.
	SQLite SQLite `koanf:"sqlite"`
	// What becomes of a vote whose key the store has no record of: allow signs it, as for a new key. refuse answers 412 until the
	// key's history was imported, or, for a key that has never signed, containment-chamber slashing init was run. It keeps a
	// signer with the wrong, an empty or a half-imported store from signing.
	// Trust: measured.
	UnknownKeys string `koanf:"unknown_keys" default:"allow" enum:"allow refuse" measured:"true"`
	// Seconds until a write whose outcome is still unknown is given up with 503. Votes that wait together are written together, so
	// that a vote waits at most one write for its own to begin: signing.wait_milliseconds and two writes stay below the
	// 30 seconds that a request may take in all. Zero is refused.
	// Trust: none; without the store's answer nothing is signed.
	WriteTimeout time.Duration `koanf:"write_timeout_seconds" default:"5" range:"1-10"`
	// Epochs that a block's slot or a vote's target may be ahead of this machine's clock; what is further ahead is refused with
	// 403 before the store is asked, so that a mistaken or hostile request cannot take a key out of its duties by raising
	// its record into the future. Zero looks at no clock.
	// Trust: a wrong clock can only refuse.
	MaxFutureEpochs uint64 `koanf:"max_future_epochs" default:"1" range:"0-1000000"`
	// Whether the routes below /api/v1/slashing/ are served, for containment-chamber slashing with --signer-url: import, export,
	// status, raise, init and high-watermark. They can lower nothing, but can keep keys from signing for good. Whoever may
	// sign may use them while auth.mode is open; so that is refused on platform nitro and with PRODUCTION=true.
	// Trust: measured.
	API bool `koanf:"api" default:"false" measured:"true"`
}

// DynamoDB is the dynamodb slashing store.
type DynamoDB struct {
	// Name or ARN of the table, which "containment-chamber slashing migrate" makes, or Terraform. Its only key is the partition
	// key "key", of type binary.
	// Trust: measured. Whoever can write to the table, or restore an older copy in its place, can make this signer vote twice.
	Table string `koanf:"table" measured:"true" example:"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-slashing"`
	// URL of the service, for a VPC endpoint or a DynamoDB of one's own. Empty is the region's public endpoint. http is refused
	// on platform nitro and with PRODUCTION=true.
	// Trust: measured. Whoever answers there is the record.
	Endpoint string `koanf:"endpoint" measured:"true" example:"https://vpce-0123.dynamodb.eu-central-1.vpce.amazonaws.com"`
}

// SQLite is the sqlite slashing store.
type SQLite struct {
	// File of the sqlite backend, created with mode 0600. Not measured: it is local to the host, and no enclave has it.
	// Trust: whoever can roll it back, or start a second signer on a copy, can make this signer vote twice.
	Path string `koanf:"path" example:"./slashing.sqlite"`
}
