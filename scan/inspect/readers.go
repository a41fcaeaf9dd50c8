package inspect

import "assay/scan/container"

// Readers returns the Readers of all formats. The groups are asked in this order.
func Readers() [][]container.Reader {
	return [][]container.Reader{
		{mail{}},
		{web{}},
	}
}

// LastResort returns the Readers for what has no magic.
func LastResort() []container.Reader {
	return nil
}
