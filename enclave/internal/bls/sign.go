package bls

/*
// Of the blst library, which the package blst links. Its Go binding signs only what it has hashed itself.
extern void blst_sign_pk2_in_g1(void *out, void *signature, const void *hash, const void *scalar);
*/
import "C"

import (
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"
)

// Sign signs a signing root. It returns secret.ErrWiped after Wipe.
func (k *SecretKey) Sign(root [32]byte) (Signature, error) { return k.SignMessage(NewMessage(root)) }

// SignMessage signs a signing root that is hashed already. It returns secret.ErrWiped after Wipe.
func (k *SecretKey) SignMessage(m *Message) (Signature, error) {
	var sig Signature
	err := k.withScalar(func(sk *blst.SecretKey) {
		var point blst.P2Affine
		// All three are structs of C arrays, as the library's own binding passes them.
		C.blst_sign_pk2_in_g1(nil, unsafe.Pointer(&point), unsafe.Pointer(m.point), unsafe.Pointer(sk))
		copy(sig[:], point.Compress())
	})
	return sig, err
}
