//go:build !race

package journaltest_test

const raceEnabled = false
