package eth2

// clientFork is a fork as validator clients know it, and put it into fork_info.
type clientFork struct {
	name    string
	epoch   uint64
	version [4]byte
}

// Indices into clientForks.
const (
	phase0 = iota
	altair
	bellatrix
	capella
	deneb
	electra
	fulu
	gloas
	later
)

const slotsPerEpoch = 32

// clientForks is the schedule of sepolia, from github.com/eth-clients/sepolia, metadata/config.yaml. It is not taken
// from our network table, which is under test. The last one is made up: it stands for the fork after Gloas.
func clientForks() []clientFork {
	return []clientFork{
		{"phase0", 0, [4]byte{0x90, 0, 0, 0x69}},
		{"altair", 50, [4]byte{0x90, 0, 0, 0x70}},
		{"bellatrix", 100, [4]byte{0x90, 0, 0, 0x71}},
		{"capella", 56832, [4]byte{0x90, 0, 0, 0x72}},
		{"deneb", 132608, [4]byte{0x90, 0, 0, 0x73}},
		{"electra", 222464, [4]byte{0x90, 0, 0, 0x74}},
		{"fulu", 272640, [4]byte{0x90, 0, 0, 0x75}},
		{"gloas", 353024, [4]byte{0x90, 0, 0, 0x76}},
		{"later", 500000, [4]byte{0x90, 0, 0, 0xff}},
	}
}

// genesisRoot is the genesis validators root of sepolia.
var genesisRoot = bytesValue{
	0xd8, 0xea, 0x17, 0x1f, 0x3c, 0x94, 0xae, 0xa2, 0x1e, 0xbc, 0x42, 0xa1, 0xed, 0x61, 0x05, 0x2a,
	0xcf, 0x3f, 0x92, 0x09, 0xc0, 0x0e, 0x4e, 0xfb, 0xaa, 0xdd, 0xac, 0x09, 0xed, 0x9b, 0x80, 0x78,
}

// moment is when a message is signed, and for when.
type moment struct {
	state   int    // the chain's fork now
	message int    // the fork of the message's epoch: state or the one before
	epoch   uint64 // of the message
	index   int    // of the request in its group
	size    int    // of what has a special size in this request, -1 for any
}

// sentForkInfo is fork_info for a message: the chain's fork as the beacon node tells it, or, as Lodestar sends it,
// the fork of the message with the message's epoch. The version in force is the same.
func sentForkInfo(d draw, at moment) objectValue {
	forks := clientForks()
	fork, epoch := at.state, forks[at.state].epoch
	if d.IntN(3) == 0 {
		fork, epoch = at.message, at.epoch
	}
	return spellForkInfo(d, forks[max(fork, 1)-1].version, forks[fork].version, epoch)
}

// sentExitForkInfo is fork_info for an exit. Some clients send the chain's fork and leave EIP-7044 to the signer;
// Lodestar sends Capella as the current fork, Lighthouse sends it twice.
func sentExitForkInfo(d draw, at moment) objectValue {
	forks := clientForks()
	if at.state >= deneb {
		switch d.IntN(3) {
		case 0:
			return spellForkInfo(d, forks[bellatrix].version, forks[capella].version, at.epoch)
		case 1:
			return spellForkInfo(d, forks[capella].version, forks[capella].version, forks[at.state].epoch)
		}
	}
	return sentForkInfo(d, at)
}

func spellForkInfo(d draw, previous, current [4]byte, epoch uint64) objectValue {
	names := [2]string{"previous_version", "current_version"}
	if d.IntN(8) == 0 {
		names = [2]string{"previousVersion", "currentVersion"}
	}
	return objectValue{
		{"fork", objectValue{
			{names[0], bytesValue(previous[:])},
			{names[1], bytesValue(current[:])},
			{"epoch", uintValue(epoch)},
		}},
		{"genesis_validators_root", genesisRoot},
	}
}
