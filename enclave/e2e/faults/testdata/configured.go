// Package resolve has, in the parent that tests break, this file in the place of one of its own: that parent is built with Go's
// -overlay, because the product has no switch for it.
package resolve

import "os"

// configured is the name server of the tests, whatever /etc/resolv.conf says.
func configured(string) string { return os.Getenv("FAULTS_NAME_SERVER") }
