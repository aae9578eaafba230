package postgrestest

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// Main runs the tests of a package with one server for all of them, and returns the exit code for its TestMain: that of run, or 1 if the
// server does not start or does not stop, or if a goroutine is left. Standard error tells why.
func Main(run func(s *Server) int) (code int) {
	s, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "a PostgreSQL server for the tests:", err)
		return 1
	}
	code = run(s)
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}
