//go:build linux && cgo

package power

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/idem-go/idem/lab/disk"
)

// keptName is the file, beside an image's own, that holds all of a case.
const keptName = "case.json.gz"

// kept is an image with all that is needed to boot and to judge it again.
type kept struct {
	Where  string // the seed and step it comes from, and the damage
	Prunes bool
	Orders []keptOrder
	Events []keptEvent
	Image  disk.Image
}

type keptOrder struct {
	ID, Operation, Payload string
}

type keptEvent struct {
	Kind             uint8
	Order, Key, Body string `json:",omitempty"`
	Status           int    `json:",omitempty"`
	OK               bool   `json:",omitempty"`
}

// keptOf is what a job needs to be done again.
func keptOf(j job) kept {
	k := kept{Where: j.where, Prunes: j.plan.prunes, Image: j.image}
	for _, o := range j.plan.orders {
		k.Orders = append(k.Orders, keptOrder{o.id, string(o.op), o.payload})
	}
	for _, e := range j.events {
		k.Events = append(k.Events, keptEvent{uint8(e.kind), e.order, e.key, e.body, e.status, e.ok})
	}
	return k
}

func (k kept) job() job {
	j := job{image: k.Image, where: k.Where, thorough: true, plan: plan{prunes: k.Prunes}}
	for _, o := range k.Orders {
		j.plan.orders = append(j.plan.orders, order{id: o.ID, op: operation(o.Operation), payload: o.Payload})
	}
	for _, e := range k.Events {
		j.events = append(j.events, event{eventKind(e.Kind), e.Order, e.Key, e.Status, e.Body, e.OK})
	}
	return j
}

func (k kept) save(folder string) error {
	f, err := os.Create(filepath.Join(folder, keptName))
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	return errors.Join(json.NewEncoder(z).Encode(k), z.Close(), f.Close())
}

func readKept(path string) (k kept, err error) {
	f, err := os.Open(path)
	if err != nil {
		return k, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return k, err
	}
	return k, json.NewDecoder(z).Decode(&k)
}
