//go:build race

package journaltest_test

const raceEnabled = true
