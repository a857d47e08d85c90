package idem

import (
	"context"
	"errors"
)

func (c *Client) registered(string) bool { return false }

func (r *run) toolAction() (action, error) {
	return action{}, errors.New("no tool of that name is registered")
}

var _ = context.Background

func validJSON(b []byte) bool { _, ok := canonicalJSON(b, nil); return ok }
