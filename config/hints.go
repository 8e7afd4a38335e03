package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
)

// Hints is an option for the parser that [Config] is embedded in: a value which
// can't even be read is then told with the variable, what is allowed and an
// example, not with kong's words alone.
func Hints() kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
			if flag, ok := node.(*kong.Flag); ok {
				for _, f := range fields() {
					if f.low != "" && slices.Contains(flag.Envs, f.env) {
						flag.Mapper = hinting{flag.Mapper, f}
					}
				}
			}
			return next(nil)
		})
	})
}

// hinting adds to the errors of reading one field.
type hinting struct {
	kong.Mapper
	field field
}

func (h hinting) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	err := h.Mapper.Decode(ctx, target)
	if err != nil {
		return fmt.Errorf("%w; %s takes %s, such as %s", err, h.field.env, h.field.allowed(), h.field.fallback)
	}
	return nil
}
