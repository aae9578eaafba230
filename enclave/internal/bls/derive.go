package bls

import (
	blst "github.com/supranational/blst/bindings/go"
)

// Derive descends from a key to its child with the first index of path, to that one's child with the second, and so on (EIP-2333). The keys
// between are wiped. It returns secret.ErrWiped after Wipe.
func (k *SecretKey) Derive(path ...uint32) (*SecretKey, error) {
	var scalar []byte
	err := k.withScalar(func(sk *blst.SecretKey) {
		node := *sk
		defer node.Zeroize()
		for _, index := range path {
			child := node.DeriveChildEip2333(index)
			node = *child
			child.Zeroize()
		}
		scalar = node.Serialize()
	})
	if err != nil {
		return nil, err
	}
	return NewSecretKey(scalar)
}
