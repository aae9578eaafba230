package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const day = 24 * time.Hour

// renewBefore is how long before its end a certificate is replaced. At AWS a new document may therefore carry
// certificates that are good for 15 minutes only, and here as well.
const renewBefore = 15 * time.Minute

// link is one certificate of a chain with its key.
type link struct {
	commonName string
	begins     time.Duration // before it is made
	life       time.Duration // after it is made
	pathLen    int           // -1: not an authority
	usage      x509.KeyUsage

	cert *x509.Certificate // nil until it is made
	key  *ecdsa.PrivateKey
}

// Issuer is the part of a hypervisor that attests one enclave: root, regional, zonal and instance authority, and the leaf that signs
// documents. It is not safe for concurrent use.
type Issuer struct {
	root     *Root
	moduleID string
	links    []*link // regional, zonal, instance, leaf
}

// NewIssuer makes a chain at the time now. The module id is an instance id, "-enc" and an enclave id.
func NewIssuer(root *Root, moduleID, region string, now time.Time) (*Issuer, error) {
	instance, _, ok := strings.Cut(moduleID, "-enc")
	if !ok || instance == "" {
		return nil, fmt.Errorf("module id %q is not of the form i-…-enc…", moduleID)
	}
	if region == "" {
		return nil, errors.New("region is empty")
	}
	regional, zonal := randomHex(), randomHex()
	authority := x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	signer := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	i := &Issuer{root: root, moduleID: moduleID, links: []*link{
		{commonName: regional + "." + region + ".aws.nitro-enclaves", begins: backdated, life: 20 * day, pathLen: 2, usage: authority},
		{commonName: zonal + ".zonal." + region + ".aws.nitro-enclaves", begins: backdated, life: 5*day + 14*time.Hour, pathLen: 1, usage: authority},
		{commonName: instance + "." + region + ".aws.nitro-enclaves", life: day, pathLen: 0, usage: x509.KeyUsageCertSign},
		{commonName: moduleID + "." + region + ".aws", begins: 3 * time.Second, life: 3 * time.Hour, pathLen: -1, usage: signer},
	}}
	if err := i.renew(now); err != nil {
		return nil, err
	}
	return i, nil
}

// Payload is what the enclave and its platform put into a document. Nil fields are absent, empty ones are present.
type Payload struct {
	PCRs      map[int]attestation.PCR
	PublicKey []byte
	UserData  []byte
	Nonce     []byte
}

// Issue signs a document made at the time now, as AWS encodes it. Certificates that are near their end are replaced first.
// It does not hold the payload to any limit.
func (i *Issuer) Issue(p Payload, now time.Time) ([]byte, error) {
	if err := i.renew(now); err != nil {
		return nil, err
	}
	leaf := i.links[len(i.links)-1]
	bundle := [][]byte{i.root.Certificate.Raw}
	for _, l := range i.links[:len(i.links)-1] {
		bundle = append(bundle, l.cert.Raw)
	}
	return Sign(leaf.key, Encode(Fields{
		ModuleID: i.moduleID, Digest: "SHA384", Timestamp: uint64(now.UnixMilli()), PCRs: p.PCRs,
		Certificate: leaf.cert.Raw, CABundle: bundle, PublicKey: p.PublicKey, UserData: p.UserData, Nonce: p.Nonce,
	}))
}

// renew replaces every certificate that is missing or near its end, and all below it.
func (i *Issuer) renew(now time.Time) error {
	parent, parentKey := i.root.Certificate, i.root.key
	replaced := false
	for _, l := range i.links {
		if replaced = replaced || l.cert == nil || l.cert.NotAfter.Sub(now) < renewBefore; replaced {
			if err := l.issue(parent, parentKey, now); err != nil {
				return fmt.Errorf("make certificate of %s: %w", l.commonName, err)
			}
		}
		parent, parentKey = l.cert, l.key
	}
	return nil
}

func (l *link) issue(parent *x509.Certificate, parentKey *ecdsa.PrivateKey, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               name(l.commonName),
		NotBefore:             now.Add(-l.begins),
		NotAfter:              now.Add(l.life),
		BasicConstraintsValid: true,
		IsCA:                  l.pathLen >= 0,
		MaxPathLen:            l.pathLen,
		MaxPathLenZero:        l.pathLen == 0,
		KeyUsage:              l.usage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	l.cert, l.key = cert, key
	return nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil // not zero
}

func randomHex() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
