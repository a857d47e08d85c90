package journaltest

import "fmt"

// Check runs the check of a name and returns what it finds.
func Check(name string, s Store) error {
	for _, c := range checks() {
		if c.name == name {
			return c.do(s)
		}
	}
	panic(fmt.Sprintf("there is no check %q", name))
}

// NotApplicable is the error of a check that has nothing to check.
type NotApplicable = notApplicable
