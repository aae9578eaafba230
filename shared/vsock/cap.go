package vsock

// Capped returns c with every write split into pieces of at most [MaxWrite] bytes.
// The result has no ReadFrom, so that no copy loop can go around the limit.
func Capped(c Conn) Conn {
	return &capped{Conn: c}
}

type capped struct{ Conn }

func (c *capped) Write(b []byte) (int, error) {
	written := 0
	for {
		n, err := c.Conn.Write(b[written:min(len(b), written+MaxWrite)])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// cappedPeer is a capped connection whose transport knows its peer.
type cappedPeer struct {
	capped
	cid uint32
}

// PeerCID is the context identifier at the other end.
func (c *cappedPeer) PeerCID() uint32 { return c.cid }
