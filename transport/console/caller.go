package console

import (
	"context"
	"crypto/sha256"

	"github.com/orbit/realtime/domain"
)

// Role is what an operator may do.
type Role string

const (
	// RoleViewer reads; values of payloads are masked.
	RoleViewer Role = "viewer"
	// RoleOperator reads everything, and acts.
	RoleOperator Role = "operator"
	// RoleDirect is the command line on the database itself: whoever has that
	// may do all of it anyway, and the audit says how it was done.
	RoleDirect Role = "direct"
)

// Ways in, as the audit names them.
const (
	ViaConsole = "console"
	ViaAPI     = "api"
	ViaCLI     = "cli"
	ViaDirect  = "direct"
)

// Caller is who asks.
type Caller struct {
	Operator string `json:"operator"`
	Role     Role   `json:"role"`
	Via      string `json:"via"`
	Demo     bool   `json:"demo"` // nobody signed in: the demo lets everybody act
}

func (c Caller) may(needed Role) bool { return c.Role != RoleViewer || needed == RoleViewer }

// seesAll reports whether payloads are shown as they are.
func (c Caller) seesAll() bool { return c.Role != RoleViewer }

// Operator is somebody with a token. Only the token's hash is kept.
type Operator struct {
	Name string
	Role Role
	hash [sha256.Size]byte
}

// NewOperator makes an Operator of a token of the configuration.
func NewOperator(name string, role Role, token string) Operator {
	return Operator{Name: name, Role: role, hash: sha256.Sum256([]byte(token))}
}

// allow refuses an act to who may not act, and puts the attempt into the audit.
func (s *Service) allow(ctx context.Context, who Caller, action, target string) error {
	if who.may(RoleOperator) {
		return nil
	}
	denial := domain.Errorf(domain.CodeForbidden, "a %s may look, not act: %s needs the role operator", who.Role, action)
	return s.record(ctx, who, domain.AuditEntry{Action: action, Target: target, Outcome: "denied"}, denial)
}

// record writes an audit entry and returns outcome, unless the entry could not
// be written: what can't be audited doesn't happen.
func (s *Service) record(ctx context.Context, who Caller, e domain.AuditEntry, outcome error) error {
	e.Operator, e.Role, e.Via = who.Operator, string(who.Role), who.Via
	if err := s.Queue.RecordAct(ctx, e); err != nil {
		return err
	}
	return outcome
}
