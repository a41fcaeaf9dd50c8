//go:build !cgo

package worker

// stacks is what the threads of a program with C in it may take for stacks, which C makes large. There is none here.
const stacks = 0
