//go:build cgo

package worker

// stacks is what the threads of a program with C in it may take for stacks, which C makes large: eight threads of 8 MiB, of
// which hardly anything becomes resident. Go's own are small.
const stacks = 64 << 20
