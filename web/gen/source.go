package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/doc"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// object is a Go struct as clients see it.
type object struct {
	name   string
	doc    string
	fields []field
}

type field struct {
	name     string // in JSON
	doc      string
	typ      typ
	optional bool // may be absent
	nullable bool // may be null
}

// enum is a Go string type with constants.
type enum struct {
	name   string
	doc    string
	values []enumValue // in the order of the source
}

type enumValue struct{ value, doc string }

type kind int

const (
	kindString kind = iota
	kindBool
	kindInt
	kindTime
	kindPosition
	kindChannel
	kindList
	kindObject
	kindEnum
)

// typ is the type of a field.
type typ struct {
	kind kind
	name string // of an object or enum
	elem *typ   // of a list
}

// clientNames renames types whose Go name says too little without its package.
var clientNames = map[string]string{"Code": "ErrorCode"}

// conventions describes fields that mean the same everywhere, where no comment
// says more.
var conventions = map[string]string{
	"id":      "Opaque: 1 to 64 letters, digits, `_` and `-`.",
	"version": "Starts at 1 and grows by one with each change: ignore what isn't newer.",
	"ref":     "The `ref` of the message that this answers, if it had one.",
}

func clientName(goName string) string { return cmp.Or(clientNames[goName], goName) }

// source is a type-checked package, and what was asked of it so far.
type source struct {
	fset    *token.FileSet
	pkg     *types.Package
	specs   map[string]typeSpec
	consts  []constSpec
	objects map[string]*object
	enums   map[string]*enum
}

type typeSpec struct {
	*ast.TypeSpec
	doc string
}

type constSpec struct {
	*types.Const
	doc string
}

// loadSource parses and checks the package in dir, without its tests.
func loadSource(dir string) (*source, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fset, filepath.Base(path), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	// The standard library is read from source as well: no compiled packages needed.
	return check(fset, importer.ForCompiler(fset, "source", nil), files)
}

func check(fset *token.FileSet, imports types.Importer, files []*ast.File) (*source, error) {
	config := types.Config{Importer: imports}
	pkg, err := config.Check("domain", fset, files, nil)
	if err != nil {
		return nil, err
	}
	s := &source{fset: fset, pkg: pkg, specs: map[string]typeSpec{}, objects: map[string]*object{}, enums: map[string]*enum{}}
	for _, file := range files {
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.GenDecl); ok {
				s.collect(decl)
			}
		}
	}
	return s, nil
}

// collect remembers the types and constants of a declaration with their comments.
func (s *source) collect(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := text(spec.Doc, spec.Comment)
			if !decl.Lparen.IsValid() {
				doc = text(decl.Doc, spec.Comment)
			}
			s.specs[spec.Name.Name] = typeSpec{spec, doc}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if c, ok := s.pkg.Scope().Lookup(name.Name).(*types.Const); ok {
					s.consts = append(s.consts, constSpec{c, about(name.Name, text(spec.Doc, spec.Comment))})
				}
			}
		}
	}
}

// text joins the comments before and behind something into one paragraph.
func text(groups ...*ast.CommentGroup) string {
	var words []string
	for _, group := range groups {
		words = append(words, strings.Fields(group.Text())...)
	}
	return strings.Join(words, " ")
}

// about turns a Go comment into one that stands without the name: "Member is a
// user's place." becomes "A user's place."
func about(name, doc string) string {
	for _, start := range []string{name + " is ", name + " "} {
		if rest, ok := strings.CutPrefix(doc, start); ok && rest != "" {
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	return doc
}

// object describes a struct, and makes what it refers to known as well.
func (s *source) object(name string) (*object, error) {
	if known, ok := s.objects[name]; ok {
		return known, nil
	}
	spec, ok := s.specs[name]
	if !ok {
		return nil, fmt.Errorf("package domain has no struct %q", name)
	}
	structure, ok := s.pkg.Scope().Lookup(name).Type().Underlying().(*types.Struct)
	if !ok {
		return nil, fmt.Errorf("%s is not a struct", name)
	}
	o := &object{name: clientName(name)}
	s.objects[name] = o // before its fields: a struct may refer to itself
	docs := fieldDocs(spec.Type)
	var renames []string
	for i := range structure.NumFields() {
		v := structure.Field(i)
		f, visible, err := s.field(v, structure.Tag(i))
		if err != nil {
			return nil, fmt.Errorf("%s: %s.%s: %w", s.fset.Position(v.Pos()), name, v.Name(), err)
		}
		if !visible {
			continue
		}
		f.doc = cmp.Or(docs[v.Name()], conventions[f.name])
		o.fields = append(o.fields, f)
		renames = append(renames, v.Name(), f.name)
	}
	// Comments speak of Go's fields; clients know them by their JSON names.
	o.doc = inJSON(about(name, spec.doc), renames)
	for i := range o.fields {
		o.fields[i].doc = inJSON(o.fields[i].doc, renames)
	}
	return o, nil
}

func fieldDocs(structure ast.Expr) map[string]string {
	docs := map[string]string{}
	if structure, ok := structure.(*ast.StructType); ok {
		for _, f := range structure.Fields.List {
			for _, name := range f.Names {
				docs[name.Name] = text(f.Doc, f.Comment)
			}
		}
	}
	return docs
}

// inJSON replaces field names in a comment; pairs is Go name, JSON name, ….
func inJSON(doc string, pairs []string) string {
	for i := 0; i < len(pairs); i += 2 {
		doc = regexp.MustCompile(`\b`+pairs[i]+`\b`).ReplaceAllString(doc, "`"+pairs[i+1]+"`")
	}
	return doc
}

// field reads a struct's field as encoding/json writes it. What it isn't sure
// of is an error: a type that lies to clients is worse than none.
func (s *source) field(v *types.Var, tag string) (f field, visible bool, err error) {
	value, tagged := reflect.StructTag(tag).Lookup("json")
	name, options, _ := strings.Cut(value, ",")
	switch {
	case value == "-" || !v.Exported() && !v.Embedded():
		return field{}, false, nil
	case v.Embedded():
		return field{}, false, errors.New("embedded structs are not supported: name the field")
	case !tagged || name == "":
		return field{}, false, errors.New("no JSON name")
	case options != "" && options != "omitempty":
		return field{}, false, fmt.Errorf("JSON option %q is not supported", options)
	}
	f = field{name: name, optional: options == "omitempty"}
	t := types.Unalias(v.Type())
	if pointer, ok := t.(*types.Pointer); ok {
		t = types.Unalias(pointer.Elem())
		f.nullable = !f.optional
	} else if _, isStruct := t.Underlying().(*types.Struct); isStruct && f.optional {
		return field{}, false, errors.New("omitempty has no effect on a struct: use a pointer")
	}
	f.typ, err = s.typ(t)
	return f, err == nil, err
}

func (s *source) typ(t types.Type) (typ, error) {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		name := t.Obj().Name()
		if t.Obj().Pkg() != s.pkg {
			break
		}
		if name == "Time" {
			return typ{kind: kindTime}, nil
		}
		switch underlying := t.Underlying().(type) {
		case *types.Struct:
			_, err := s.object(name)
			return typ{kind: kindObject, name: clientName(name)}, err
		case *types.Basic:
			if underlying.Kind() == types.String {
				_, err := s.enum(name)
				return typ{kind: kindEnum, name: clientName(name)}, err
			}
		}
	case *types.Basic:
		switch {
		case t.Kind() == types.String:
			return typ{kind: kindString}, nil
		case t.Kind() == types.Bool:
			return typ{kind: kindBool}, nil
		case t.Info()&types.IsInteger != 0 && t.Kind() != types.Uintptr:
			return typ{kind: kindInt}, nil
		}
	case *types.Slice:
		if isByte(t.Elem()) {
			break // encoding/json makes base64 of it
		}
		elem, err := s.typ(t.Elem())
		return typ{kind: kindList, elem: &elem}, err
	}
	return typ{}, fmt.Errorf("the generator doesn't know what %s is to a client", t)
}

func isByte(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Kind() == types.Uint8
}

// enum describes a string type by its constants.
func (s *source) enum(name string) (*enum, error) {
	if known, ok := s.enums[name]; ok {
		return known, nil
	}
	e := &enum{name: clientName(name), doc: about(name, new(doc.Package).Synopsis(s.specs[name].doc))}
	for _, c := range s.consts {
		if named, ok := c.Type().(*types.Named); ok && named.Obj().Name() == name && named.Obj().Pkg() == s.pkg {
			e.values = append(e.values, enumValue{constant.StringVal(c.Val()), c.doc})
		}
	}
	if len(e.values) == 0 {
		return nil, fmt.Errorf("%s has no constants: is it an enum?", name)
	}
	s.enums[name] = e
	return e, nil
}

// found returns what was described so far, by name.
func (s *source) found() (objects []*object, enums []*enum) {
	for _, o := range s.objects {
		objects = append(objects, o)
	}
	for _, e := range s.enums {
		enums = append(enums, e)
	}
	slices.SortFunc(objects, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	slices.SortFunc(enums, func(a, b *enum) int { return cmp.Compare(a.name, b.name) })
	return objects, enums
}
