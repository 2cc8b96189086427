package users

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
)

const (
	tokenVersion  = 1
	checksumBytes = 6
)

// tokenOf is the token of the page after an id; the checksum is against tokens that were cut, mistyped or made up.
func tokenOf(id string) string {
	content := append([]byte{tokenVersion}, id...)
	return base64.RawURLEncoding.EncodeToString(append(checksum(content), content...))
}

// idOf is the id in a token, if it is one of ours.
func idOf(token string) (string, bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(decoded) <= checksumBytes {
		return "", false
	}
	content := decoded[checksumBytes:]
	if content[0] != tokenVersion || !bytes.Equal(checksum(content), decoded[:checksumBytes]) {
		return "", false
	}
	return string(content[1:]), true
}

func checksum(content []byte) []byte {
	sum := sha256.Sum256(content)
	return sum[:checksumBytes:checksumBytes]
}
