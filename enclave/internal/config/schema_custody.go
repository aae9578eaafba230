package config

import "time"

// Chamber is the master key.
type Chamber struct {
	// Identity of the master key, 32 hexadecimal digits in lower case, as "containment-chamber operator init" prints it. Empty until then:
	// any master key is taken. Once it is set every other is refused, whoever wrote the signer state.
	// Trust: measured. It says whose keys this signer may hold.
	ID string `koanf:"id" measured:"true" example:"5b0f2ac4e91d47d38c6a90e2b7f3d851"`
	// ARNs of the KMS keys that may hold shares of the master key, one share each, at most 16. Init and rotation accept no others. Aliases are
	// refused. An empty list means that there is no master key, which is enough for keys in files; any other needs signer_state.backend.
	// Trust: measured. Enough of these keys' administrators together can change who gets the master key.
	KMSKeyARNs []string `koanf:"kms_key_arns" measured:"true" example:"arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55"`
	// How many shares rebuild the master key, no more than there are kms_key_arns. Zero leaves the choice to init and rotation; else they accept
	// no other.
	// Trust: measured. It is how many KMS keys have to be misused before the master key is known.
	KMSThreshold int `koanf:"kms_threshold" default:"0" range:"0-16" measured:"true"`
	// How a share is wrapped: under a data key that KMS makes for the attested enclave (data_key), for which the role needs no kms:Encrypt;
	// or by kms:Encrypt itself (encrypt).
	// Trust: measured. With encrypt, whoever holds the role's credentials can make shares of a key that he knows; chamber.id refuses that key.
	Wrap string `koanf:"wrap" default:"data_key" enum:"data_key encrypt" measured:"true"`
	// SHA-256, 64 hexadecimal digits, of the token that init demands, both made by "containment-chamber operator setup-token". The
	// token says itself until when it is valid. In an enclave the chamber cannot be initialised without it, because what an enclave
	// logs reaches the host. On platform none an empty value means that a token is made at start, valid for a day, and logged.
	// Trust: whoever has the token can initialise this signer, once, and so can whoever writes this file, if he is first; what he made is
	// refused once chamber.id is set.
	SetupTokenSHA256 string `koanf:"setup_token_sha256" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	// Seconds between two proofs that every share can still be decrypted, so that a broken key policy shows before a restart. Zero
	// proves nothing.
	// Trust: none.
	ShareCheckInterval time.Duration `koanf:"share_check_interval_seconds" default:"3600" range:"0-604800"`
	// URL of KMS, for a VPC endpoint or a KMS of one's own; {region} in its host stands for the region of the key. Empty is each region's public
	// endpoint. http is refused. On platform nitro and with PRODUCTION=true it is KMS of AWS in the region of every key, without a path and at no port
	// but 443: kms.{region}.amazonaws.com, kms-fips.{region}.amazonaws.com, kms.{region}.api.aws or vpce-ID.kms.{region}.vpce.amazonaws.com; in
	// cn- regions amazonaws.com.cn.
	// Trust: measured. Whoever answers there could use the enclave's attestation document, which is bound to the enclave's key and not to one
	// request, to have KMS open other ciphertexts for it.
	KMSEndpoint string `koanf:"kms_endpoint" measured:"true" example:"https://vpce-0123.kms.{region}.vpce.amazonaws.com"`
	// Certificates of the authorities that vouch for KMS, in PEM; line breaks may be spaces. Empty means the authorities of the system, in
	// an enclave those of Mozilla's list that are compiled in. Refused on platform nitro and with PRODUCTION=true.
	// Trust: measured. Whoever has such an authority's key, and stands between, is KMS: envelopes have no authenticity of their own.
	KMSCAPEM string `koanf:"kms_ca_pem" measured:"true" example:"-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"`
	// The calls to stored keys, /api/v1/chamber/keys. Every call needs a token with its scope.
	Keys ChamberKeys `koanf:"keys"`
}

// ChamberKeys are the calls to stored keys, each with its own switch and bounds.
type ChamberKeys struct {
	// The list of stored keys. It is there whenever keys are stored.
	List ChamberKeyList `koanf:"list"`
	// New keys, made in the signer from a mnemonic that is not kept.
	Generate ChamberKeyGenerate `koanf:"generate"`
	// Keys of EIP-2335 keystores.
	Import ChamberKeyImport `koanf:"import"`
	// Activating, deactivating and deleting stored keys.
	Lifecycle ChamberKeyLifecycle `koanf:"lifecycle"`
}

// ChamberKeyList is the list of stored keys.
type ChamberKeyList struct {
	// Lists at once; further ones get 503. Zero is refused.
	// Trust: none.
	MaxRequests int `koanf:"max_concurrent_requests" default:"16" range:"1-64"`
}

// ChamberKeyGenerate makes new keys.
type ChamberKeyGenerate struct {
	// Whether new validator keys can be made. True needs key_sources.dynamodb or key_sources.database.
	// Trust: measured. Whoever has a token for it fills the table of keys, and gets deposit data that these keys have signed.
	Enabled bool `koanf:"enabled" default:"false" measured:"true"`
	// Keys of a request. Zero is refused.
	// Trust: none.
	MaxItems int `koanf:"max_items_per_request" default:"100" range:"1-10000"`
	// Requests at once; further ones get 503. All together keep half of the processors busy. Zero is refused.
	// Trust: none.
	MaxRequests int `koanf:"max_concurrent_requests" default:"16" range:"1-64"`
	// Seconds that a request may take; keys that are not stored by then are told as errors. Zero is refused.
	// Trust: none.
	RequestTimeout time.Duration `koanf:"request_timeout_seconds" default:"600" range:"1-3600"`
	// The mnemonic of new keys, encrypted. Without it nobody can make the keys again, and a backup of the signer is all there is of them.
	Backup ChamberKeyBackup `koanf:"backup"`
}

// ChamberKeyBackup says who can read the mnemonics of new keys.
type ChamberKeyBackup struct {
	// Whether the mnemonic of each request is kept, encrypted to the recipients: beside each of its keys, and in the answer.
	// Trust: measured. Without it keys that are made may be lost with the table.
	Enabled bool `koanf:"enabled" default:"false" measured:"true"`
	// Recipients of age, at most 32, each as age-keygen prints it (age1...): whoever has the identity of one has all keys of the mnemonic.
	// An empty list goes with enabled: false, and with that alone.
	// Trust: measured. A host that could enter a recipient of its own would have every key that is made here.
	Recipients []string `koanf:"recipients" measured:"true" example:"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"`
}

// ChamberKeyImport stores keys of keystores.
type ChamberKeyImport struct {
	// Whether keystores can be imported. It is there whenever keys are stored; true that is written needs key_sources.dynamodb or
	// key_sources.database.
	// Trust: none beyond the tokens.
	Enabled bool `koanf:"enabled" default:"true"`
	// Keystores of a request. Zero is refused.
	// Trust: none.
	MaxItems int `koanf:"max_items_per_request" default:"100" range:"1-1000"`
	// Requests at once, whose keystores are opened one request after the other; further ones get 503. Zero is refused.
	// Trust: none.
	MaxRequests int `koanf:"max_concurrent_requests" default:"16" range:"1-64"`
	// Seconds that a request may take to open its keystores; those that are not open by then are told as errors. Zero is refused.
	// Trust: none.
	RequestTimeout time.Duration `koanf:"request_timeout_seconds" default:"600" range:"1-3600"`
}

// ChamberKeyLifecycle changes stored keys.
type ChamberKeyLifecycle struct {
	// Whether stored keys can be activated, deactivated and deleted. It is there whenever keys are stored; true that is written needs
	// key_sources.dynamodb or key_sources.database.
	// Trust: none beyond the tokens.
	Enabled bool `koanf:"enabled" default:"true"`
	// Public keys of a request. Zero is refused.
	// Trust: none.
	MaxItems int `koanf:"max_items_per_request" default:"500" range:"1-10000"`
	// Requests at once; further ones get 503. Zero is refused.
	// Trust: none.
	MaxRequests int `koanf:"max_concurrent_requests" default:"16" range:"1-64"`
	// Seconds that a request may take; keys that are not changed by then are told as errors. Zero is refused.
	// Trust: none.
	RequestTimeout time.Duration `koanf:"request_timeout_seconds" default:"600" range:"1-3600"`
}

// SignerState says where the signer keeps its state.
type SignerState struct {
	// Kind of store; empty for none, which is enough for keys in files. Any other needs chamber.kms_key_arns. Platform nitro requires dynamodb
	// or postgres; sqlite is for one machine.
	// Trust: measured. The store holds ciphertext, and can withhold it or roll it back.
	Backend string `koanf:"backend" enum:"dynamodb postgres sqlite" measured:"true" example:"dynamodb"`
	// Table of the dynamodb backend, empty with the others: its ARN on platform nitro, so that the measured digest names account and region;
	// a name or an ARN elsewhere.
	// Trust: measured. Two signers that share a table share their master key.
	Table string `koanf:"table" measured:"true" example:"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-state"`
	// The AWS region of the dynamodb backend, and of password_source rds_iam. Needed unless table is an ARN, which names it; empty
	// with the other backends.
	// Trust: measured. In another region is another table.
	Region string `koanf:"region" measured:"true" example:"eu-central-1"`
	// URL of the service of the dynamodb backend, for a VPC endpoint or a DynamoDB of one's own. Empty is the region's public endpoint. http is
	// refused on platform nitro and with PRODUCTION=true.
	// Trust: measured. Whoever answers there can withhold the state or roll it back.
	Endpoint string `koanf:"endpoint" measured:"true" example:"https://vpce-0123.dynamodb.eu-central-1.vpce.amazonaws.com"`
	// URL of the postgres backend, by the rules of anti_slashing.url; empty with the others.
	// Trust: measured without the password. Whoever can write to that database can withhold the state or roll it back.
	URL string `koanf:"url" url:"true" measured:"true" example:"postgres://signer@db.internal:5432/containment?sslmode=verify-full"`
	// Where the password of the postgres backend comes from: url, or rds_iam, a token that is made for each connection from AWS credentials
	// (RDS IAM authentication), for the database of signer_state.region. With rds_iam the URL holds no password, and the server
	// must be verified. Platform nitro requires rds_iam: the state is read before anything can be unsealed.
	// Trust: measured. Whoever has the same AWS credentials can withhold the state or roll it back.
	PasswordSource string `koanf:"password_source" default:"url" enum:"url rds_iam" measured:"true"`
	// Certificates of the authorities that vouch for the server of the postgres or dynamodb backend, in PEM, as in anti_slashing.ca_pem. Empty
	// means the authorities of the system, in an enclave those compiled in.
	// Trust: measured. Whoever has such an authority's key, and stands between, is the store.
	CAPEM string `koanf:"ca_pem" measured:"true" example:"-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"`
	// File of the sqlite backend, created with mode 0600, not that of anti_slashing.sqlite; empty with the others. Not measured: it is local to
	// the host, and no enclave has it.
	// Trust: it holds ciphertext alone; whoever can roll it back rolls the state back.
	Path string `koanf:"path" example:"./state.sqlite"`
	// Seconds between two looks for what other replicas have changed. Zero looks only when this process changes something, which is
	// discouraged, and refused on platform nitro: a seal, a freeze or a revocation on one replica does not reach the others.
	// Trust: none.
	RefreshInterval time.Duration `koanf:"refresh_interval_seconds" default:"1" range:"0-3600"`
}

// StoredTable is the source of stored keys in a DynamoDB table.
type StoredTable struct {
	// Table of the stored keys, with its own index: its ARN on platform nitro. Empty means that no keys are stored in DynamoDB. It
	// needs signer_state.backend, and is neither that one's table nor the slashing store's.
	// Trust: measured. The table holds ciphertext, and can withhold keys or roll their status back.
	Table string `koanf:"table" measured:"true" example:"arn:aws:dynamodb:eu-central-1:111122223333:table/containment-keys"`
	// The AWS region of the table. Needed unless table is an ARN, which names it, or empty.
	// Trust: measured. In another region is another table.
	Region string `koanf:"region" measured:"true" example:"eu-central-1"`
	// URL of the service, for a VPC endpoint or a DynamoDB of one's own. Empty is the region's public endpoint. http is refused on platform
	// nitro and with PRODUCTION=true.
	// Trust: measured. Whoever answers there can withhold keys or roll their status back.
	Endpoint string `koanf:"endpoint" measured:"true" example:"https://vpce-0123.dynamodb.eu-central-1.vpce.amazonaws.com"`
	// Certificates of the authorities that vouch for the service, in PEM, as in anti_slashing.ca_pem. Empty means the authorities of the system, in
	// an enclave those compiled in.
	// Trust: measured. Whoever has such an authority's key, and stands between, is the table.
	CAPEM string `koanf:"ca_pem" measured:"true" example:"-----BEGIN CERTIFICATE----- MIIBKzCB3qADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDDApleGFtcGxlIENBMB4XDTI2MTEyMTE2MjU1MVoXDTM2MTExODE2MjU1MVowFTETMBEGA1UEAwwKZXhhbXBsZSBDQTAqMAUGAytlcAMhANx6XDl4iapvmZ4g2FYbvIOpb5Rl1PRTRKWaXMMZmuRxo1MwUTAdBgNVHQ4EFgQU+hwl9j/v0LiL0C9NH94VkajtgwQwHwYDVR0jBBgwFoAU+hwl9j/v0LiL0C9NH94VkajtgwQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQAInpokRKFnOg6u1lo3jaAQA2efRWo255UbB6yyGtMD9wmrxCUW5IPh8NNyuMmgzLC3WytH2Pb+SzZS/MtXnucD -----END CERTIFICATE-----"`
	// Keys of which status are loaded: active, inactive or both. An empty list loads none.
	// Trust: measured. A key that is inactive everywhere else signs where this says so.
	StatusFilter []string `koanf:"status_filter" default:"active" measured:"true" example:"active"`
	// Seconds between two looks for keys that others have changed. Zero loads the keys at unseal alone, which platform nitro refuses.
	// Trust: none.
	RefreshInterval time.Duration `koanf:"refresh_interval_seconds" default:"1" range:"0-3600"`
	// Readers of the table at once while all keys are loaded. Zero is refused.
	// Trust: none.
	MaxConcurrentReads int `koanf:"max_concurrent_reads" default:"16" range:"1-256"`
}

// StoredRows is the source of stored keys in the database of the signer state.
type StoredRows struct {
	// Whether stored keys are loaded from the database of signer_state.backend postgres or sqlite, in a table of their own. Refused beside
	// key_sources.dynamodb.table.
	// Trust: measured. The database holds ciphertext, and can withhold keys or roll their status back.
	Enabled bool `koanf:"enabled" default:"false" measured:"true"`
	// Keys of which status are loaded: active, inactive or both. An empty list loads none.
	// Trust: measured. A key that is inactive everywhere else signs where this says so.
	StatusFilter []string `koanf:"status_filter" default:"active" measured:"true" example:"active"`
	// Seconds between two looks for keys that others have changed. Zero loads the keys at unseal alone, which platform nitro refuses.
	// Trust: none.
	RefreshInterval time.Duration `koanf:"refresh_interval_seconds" default:"1" range:"0-3600"`
}
