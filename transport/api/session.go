package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/body"
)

// user is how a client sees itself.
type user struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// demoLogin signs in as one of the demo's users and answers 200 with the user.
func demoLogin(r request) error {
	var in struct {
		User string `json:"user"`
	}
	if err := body.Decode(r.Writer, r.Request, r.MaxBodyBytes, &in); err != nil {
		return err
	}
	token, hash := auth.NewToken()
	session, err := r.Commands.DemoSignIn(r.ctx(), in.User, hash)
	if err != nil {
		return err
	}
	me, err := r.user(session.UserID)
	if err != nil {
		return err
	}
	r.Cookies.Issue(r.Writer, r.Request, token, session.ExpiresAt)
	r.JSON(http.StatusOK, gin.H{"user": me})
	return nil
}

func logout(r request) error {
	if err := r.Commands.SignOut(r.ctx(), r.who.SessionID); err != nil {
		return err
	}
	r.Cookies.Clear(r.Writer, r.Request)
	r.OnSignedOut(r.who.SessionID)
	return r.gone("", nil)
}

func me(r request) error {
	me, err := r.user(r.who.UserID)
	if err != nil {
		return err
	}
	workspaces, err := r.Directory.WorkspacesOfUser(r.ctx(), r.who.UserID)
	if err != nil {
		return err
	}
	r.JSON(http.StatusOK, gin.H{"user": me, "workspaces": append([]domain.Workspace{}, workspaces...)})
	return nil
}

func (r request) user(id string) (user, error) {
	u, err := r.Reader.User(r.ctx(), id)
	return user{u.ID, u.Email, u.Name}, err
}
