package boot

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteHosts replaces /etc/hosts, whole. It is for a real enclave alone, where that file is ours and need not exist: on any other machine
// it is somebody else's.
func WriteHosts(table []byte) error { return writeHosts("/etc/hosts", table) }

func writeHosts(path string, table []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("write the host names of the routes: %w", err)
	}
	if err := os.WriteFile(path, table, 0o600); err != nil {
		return fmt.Errorf("write the host names of the routes: %w", err)
	}
	return nil
}
