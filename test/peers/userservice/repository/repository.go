// Package repository keeps users.
package repository

import (
	"context"
	"time"
)

// User is a user as it is stored.
type User struct {
	ID, Email, DisplayName string
	Picture                []byte
	// Version is the revision of the store at which this user was last changed; it is never used twice.
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Change is what became of one user: User is nil where it was deleted.
type Change struct {
	Revision int64
	ID       string
	User     *User
}

// Inserted is what became of one user of an Insert.
type Inserted struct {
	User *User
	Err  error
}

// Field is one that no two users share.
type Field string

const (
	ID    Field = "id"
	Email Field = "email"
)

// Missing is the error of a user that is not there, Stale that of one in another version, Taken that of an id or an address
// of another user, and OutOfRange that of a revision after which changes are not known.
type (
	Missing    struct{}
	Stale      struct{ Version int64 }
	Taken      struct{ Field Field }
	OutOfRange struct{ Oldest, Newest int64 }
)

func (Missing) Error() string    { return "missing" }
func (Stale) Error() string      { return "stale" }
func (t Taken) Error() string    { return string(t.Field) + " is taken" }
func (OutOfRange) Error() string { return "out of range" }

// Repository is where users are kept. It has one revision, which grows by one with each change. An expected version of 0 is
// any. Users that it returns are not to be changed.
type Repository interface {
	Get(ctx context.Context, id string) (*User, error)
	// Insert creates users, each for itself; results are in the same order.
	Insert(ctx context.Context, users []User) []Inserted
	// Update replaces a user that exists by what edit makes of it.
	Update(ctx context.Context, id string, expected int64, edit func(*User)) (*User, error)
	// Put replaces a user, or creates it where it does not exist and no version is expected.
	Put(ctx context.Context, user User, expected int64) (*User, error)
	Delete(ctx context.Context, id string, expected int64) error
	// List returns users with ids above after, in the order of their bytes, and whether there are more.
	List(ctx context.Context, after string, limit int) (users []*User, more bool, err error)
	Revision(ctx context.Context) (int64, error)
	// Changes returns the users that changed after a revision, each once, in the order of their revisions, and a channel that
	// is closed when there are others.
	Changes(ctx context.Context, after int64, limit int) (changes []Change, more <-chan struct{}, err error)
}
