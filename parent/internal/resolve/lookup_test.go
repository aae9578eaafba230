package resolve

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers questions for A with a name that leads to two addresses, under the times to live given, and for AAAA with nothing.
func nameServer(t *testing.T, alias, one, two uint32) *net.UDPAddr {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			var question dnsmessage.Message
			if question.Unpack(b[:n]) != nil || len(question.Questions) != 1 {
				continue
			}
			_, _ = c.WriteToUDP(answer(question, alias, one, two), from)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-ended
	})
	return c.LocalAddr().(*net.UDPAddr)
}

func answer(question dnsmessage.Message, alias, one, two uint32) []byte {
	asked := question.Questions[0]
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true}, Questions: question.Questions}
	if asked.Type == dnsmessage.TypeA {
		target := dnsmessage.MustNewName("real.example.org.")
		head := func(name dnsmessage.Name, t dnsmessage.Type, ttl uint32) dnsmessage.ResourceHeader {
			return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET, TTL: ttl}
		}
		m.Answers = []dnsmessage.Resource{
			{Header: head(asked.Name, dnsmessage.TypeCNAME, alias), Body: &dnsmessage.CNAMEResource{CNAME: target}},
			{Header: head(target, dnsmessage.TypeA, one), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}},
			{Header: head(target, dnsmessage.TypeA, two), Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 2}}},
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func TestLookupTellsTheShortestTTL(t *testing.T) {
	for _, test := range []struct {
		alias, one, two uint32
		want            time.Duration
	}{
		{60, 30, 40, 30 * time.Second},
		{5, 30, 40, 5 * time.Second},
		{0, 30, 40, 0},
	} {
		server := nameServer(t, test.alias, test.one, test.two)
		got, err := lookupAt(t.Context(), "db.example.org.", server.String())
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got.Addresses, netip.Addr.Compare)
		if !slices.Equal(got.Addresses, []netip.Addr{first, second}) || got.TTL != test.want {
			t.Errorf("got %v, want both addresses for %v", got, test.want)
		}
	}
}

func TestLookupOfTheHostsFile(t *testing.T) {
	got, err := Lookup(t.Context(), "localhost")
	if err != nil || len(got.Addresses) == 0 || !got.Addresses[0].IsLoopback() || got.TTL != NoTTL {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestConfiguredServersAreAsked(t *testing.T) {
	if got := configured("192.0.2.53:53"); got != "192.0.2.53:53" {
		t.Errorf("asks %s in the place of what /etc/resolv.conf says", got)
	}
}

// lookupAt asks one name server, whatever /etc/resolv.conf says.
func lookupAt(ctx context.Context, host, server string) (Answer, error) {
	return lookup(ctx, host, func(string) string { return server })
}

func FuzzTTL(f *testing.F) {
	f.Add(answer(dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("a."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}, 1, 2, 3))
	f.Fuzz(func(t *testing.T, message []byte) {
		var shortest ttl
		shortest.read(message)
		if got := shortest.get(); got < NoTTL || got > time.Duration(1<<32)*time.Second {
			t.Fatalf("%v", got)
		}
	})
}
