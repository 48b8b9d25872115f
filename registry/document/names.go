package document

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
)

func (c Collection[T]) name(key string) string { return c.Prefix + "." + escape(key) }

// key returns the key of a ref's name.
func (c Collection[T]) key(name string) (string, error) {
	key, err := unescape(strings.TrimPrefix(name, c.Prefix+"."))
	if err != nil {
		return "", fault.New(fault.Corrupt, "list %s: %w", c.Prefix, err)
	}
	return key, nil
}

// escape writes any key as one word of a ref's name: letters, digits and dashes
// stand for themselves, every other byte is an underscore and two hexadecimal
// digits. The empty key is a lone underscore.
func escape(key string) string {
	if key == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%02x", c)
	}
	return b.String()
}

func unescape(word string) (string, error) {
	if word == "_" {
		return "", nil
	}
	var b strings.Builder
	for rest := word; rest != ""; {
		plain, escaped, found := strings.Cut(rest, "_")
		b.WriteString(plain)
		if !found {
			break
		}
		if len(escaped) < 2 {
			return "", fmt.Errorf("the name %q ends within an escape", word)
		}
		c, err := hex.DecodeString(escaped[:2])
		if err != nil {
			return "", fmt.Errorf("the name %q: %w", word, err)
		}
		b.Write(c)
		rest = escaped[2:]
	}
	return b.String(), nil
}
