// Package pattern makes the bytes that the upstream streams and the generator expects, so that neither needs to send them to the other.
package pattern

import "math/rand/v2"

// Size is the length of one streamed message.
const Size = 64 << 10

// New returns the same Size pseudo-random bytes every time.
func New() []byte {
	return Bytes(Size)
}

// Bytes returns the first n bytes of the pattern; they are the same in every process.
func Bytes(n int) []byte {
	source := rand.NewPCG(1, 2)
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(source.Uint64())
	}
	return data
}
