//go:build !race

package worker

// raceEnabled says that the race detector is built in. It takes a multiple of the memory.
const raceEnabled = false
