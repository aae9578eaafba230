package app

import (
	"net"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
)

// openForwarders gives what resolves names by itself the dialer's way out. It is for a real enclave alone: /etc/hosts of any other
// machine is not ours.
func (s *signer) openForwarders() error {
	f, err := egress.NewForwarders(s.dialer, net.Listen, s.log.Named("egress"))
	if err != nil {
		return err
	}
	s.house.start("egress forwarders", f.Run)
	if err := boot.WriteHosts(f.Hosts()); err != nil { // the signer's own clients need no hosts file
		s.log.Warn("what resolves names by itself reaches no route", zap.Error(err))
	}
	return nil
}

// egressLimits are the same on both sides, so that the enclave says what the parent would refuse.
func egressLimits(c config.ParentEgress) egress.Limits {
	return egress.Limits{
		MaxConnections: c.MaxConnections, ConnectTimeout: c.ConnectTimeout, IdleTimeout: c.IdleTimeout, HalfOpenTimeout: c.HalfOpenTimeout,
	}
}
