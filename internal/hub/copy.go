package hub

import (
	"context"
	"slices"
)

// Copy gives a model a second name; the files are shared, and stay until both are removed. A name that
// is the same model's already is no error. Errors: ErrUnknown, ErrName, ErrStore, the context's own.
func (h *Hub) Copy(ctx context.Context, from, to string) (*Manifest, error) {
	m, err := h.find(from)
	if err != nil {
		return nil, err
	}
	switch {
	case m == nil:
		return nil, ErrUnknown.Because("hub: %q is not on this machine: \"galerne list\" shows what is", from)
	case !validName(to):
		return nil, ErrName.Because("hub: %q cannot be a name: small letters, digits, dots, dashes and underscores, 1 to 100, a letter or digit first", to)
	case h.catalogue.Find(to) != nil:
		return nil, ErrName.Because("hub: %q is a name of the catalogue: choose another", to)
	}
	release, err := h.lock(ctx, "model-"+nameKey(to), nil)
	if err != nil {
		return nil, err
	}
	defer release()
	old, err := h.manifest(to)
	switch {
	case err != nil:
		return nil, err
	case old != nil && slices.Equal(old.Files, m.Files):
		return old, nil
	case old != nil:
		return nil, ErrName.Because("hub: %q is another model already: choose another name or remove it (galerne rm %s)", to, to)
	}
	c := *m
	c.Name = to
	return &c, h.publish(ctx, &c)
}
