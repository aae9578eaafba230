package resolve

// configured is the address at which a name server of /etc/resolv.conf is asked: its own. It has a file to itself because tests that
// break the name server of a whole parent build with another one: without root nobody can serve at port 53.
func configured(server string) string { return server }
