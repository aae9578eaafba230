package keymanager

// status is what became of one keystore or key, in the words of the Key Manager API.
type status string

const (
	imported  status = "imported"
	duplicate status = "duplicate"  // it was loaded before, and is as it was
	deleted   status = "deleted"    // it signs no more
	notActive status = "not_active" // there was no such key, and there is a record of it
	notFound  status = "not_found"  // there is neither
	failed    status = "error"
)

var statuses = []status{imported, duplicate, deleted, notActive, notFound, failed} //nolint:gochecknoglobals // constant; Go has no constant lists

type result struct {
	Status  status `json:"status"`
	Message string `json:"message"`
}

func failure(err error) result { return result{failed, err.Error()} }

// text is an answer that is JSON already.
type text []byte

// importAnswer has what became of each keystore, in their order.
type importAnswer struct {
	Data []result `json:"data"`
}

// deleteAnswer has what became of each key, in their order, and the record of those that are deleted or not active: an EIP-3076 file.
type deleteAnswer struct {
	Data               []result `json:"data"`
	SlashingProtection string   `json:"slashing_protection"`
}

// unreadAnswer is that of a deletion whose record could not be read: a refusal that tells of each key too.
type unreadAnswer struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Error   string   `json:"error"`
	Data    []result `json:"data"`
}
