package localfs

// Process is another process that has a file open.
type Process struct {
	ID    int
	State byte // as ps shows it: 'T' and 't' stopped, 'D' in a call of the system that cannot be interrupted
}

// Stopped reports whether the process does not run until it is continued.
func (p Process) Stopped() bool { return p.State == 'T' || p.State == 't' }
