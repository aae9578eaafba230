// Package kmstest stands in for AWS KMS and STS in tests and demonstrations; it is no KMS, for its keys lie in memory and protect nothing.
//
// What it has is real: the JSON protocol with signed requests (Signature Version 4), key policies, attestation documents that must end in
// a root it was given, answers encrypted for the enclave, encryption contexts, a clock that need not be the client's, and AWS's names for
// errors. Where AWS documents no message, as for a document that is refused, the message is its own.
//
// What it has not: permissions boundaries, service and resource control policies, session policies, grants and grant tokens. An identity
// policy is a yes or no where a principal is given none; then a call from another account needs the key policy alone, where AWS wants
// one of the caller's as well. A policy with anything that it does not know is refused when it is loaded, where AWS would
// take it; that a policy's principals exist, and that it does not lock its owner out, is not looked at. There are no aliases, no
// asymmetric, HMAC, multi-Region or imported keys, no rotation, no DryRun and no quotas. STS gives a session for a token that it was
// told, without looking into it, and trust policies are just that: which token belongs to which role.
package kmstest
