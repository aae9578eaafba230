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
	// Where the password of the postgres backend comes from: url; rds_iam, a token that is made for each connection from AWS credentials
	// (RDS IAM authentication), for the database of anti_slashing.region; or kms, anti_slashing.sealed_password. With rds_iam and kms the URL
	// holds no password, and the server must be verified.
	// Trust: measured. With rds_iam, whoever has the same AWS credentials can write to the database.
	PasswordSource string `koanf:"password_source" default:"url" enum:"url rds_iam kms" measured:"true"`
	// Password of the postgres backend for password_source kms, as AWS KMS encrypted it: the CiphertextBlob, in base64, of "aws kms encrypt" with
	// the key of sealed_password_kms_key_arn and the encryption context that "containment-chamber config sealed-context" prints, in which
	// containment-chamber is anti_slashing.sealed_password, and containment-chamber:server (host:port), :user and :database are those of url, and
	// :ca is the SHA-256 of the certificates of ca_pem (DER, one after the other, in hexadecimal), or "public" without. So it is encrypted
	// again when one of them changes. Empty unless password_source is kms. Not measured: another password changes no digest.
	// Trust: it is ciphertext, for those alone whom the policy of the KMS key lets decrypt; a policy that names the enclave keeps the parent out,
	// and the encryption context keeps it from every other server.
	SealedPassword string `koanf:"sealed_password" example:"AQICAHhWbXzGzUo5x0m1C3v2uQ5d0w=="`
	// ARN of the KMS key that sealed_password and dynamodb.sealed_access_key are encrypted with, one of chamber.kms_key_arns or another. Needed
	// with either, and empty without. KMS is reached as chamber.kms_endpoint and chamber.kms_ca_pem say.
	// Trust: measured. Whoever may change the policy of that key can get the credential, and make this signer vote twice.
	SealedPasswordKMSKeyARN string `koanf:"sealed_password_kms_key_arn" measured:"true" example:"arn:aws:kms:eu-central-1:111122223333:key/7c1de0a4-52b8-4a0e-9f6d-3e8b5d0c4f21"`
	// Whether the record may be reached in a way that the parent has as well: with AWS credentials, which the parent relays (the dynamodb
	// backend without sealed_access_key, and password_source rds_iam), or with no credential at all (password_source url, because
	// a password in the URL is refused there). On platform nitro these need it. Elsewhere it changes nothing.
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
	// Access key for the table, as AWS KMS encrypted it: in base64 as sealed_password, with an encryption context in which
	// containment-chamber is anti_slashing.dynamodb.sealed_access_key, and containment-chamber:table and :endpoint are those of this section
	// as written, or "public" without endpoint; the plaintext is ACCESS_KEY_ID:SECRET. Empty takes the AWS credentials that the
	// signer has for everything else. Not measured: another access key changes no digest.
	// Trust: as sealed_password; whoever has an access key for the table can make this signer vote twice.
	SealedAccessKey string `koanf:"sealed_access_key" example:"AQICAHhWbXzGzUo5x0m1C3v2uQ5d0w=="`
}

// SQLite is the sqlite slashing store.
type SQLite struct {
	// File of the sqlite backend, created with mode 0600. Not measured: it is local to the host, and no enclave has it.
	// Trust: whoever can roll it back, or start a second signer on a copy, can make this signer vote twice.
	Path string `koanf:"path" example:"./slashing.sqlite"`
}
