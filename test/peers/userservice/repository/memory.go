package repository

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"
)

// Memory is a Repository that is gone with its process.
type Memory struct {
	mutex    sync.Mutex
	users    map[string]*User
	owners   map[string]string // by lower-case address: the user's id
	deleted  []Change
	revision int64
	changed  chan struct{}
}

// NewMemory returns an empty one.
func NewMemory() *Memory {
	return &Memory{users: map[string]*User{}, owners: map[string]string{}, changed: make(chan struct{})}
}

func (m *Memory) Get(_ context.Context, id string) (*User, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if user := m.users[id]; user != nil {
		return user, nil
	}
	return nil, Missing{}
}

func (m *Memory) Insert(_ context.Context, users []User) []Inserted {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	results := make([]Inserted, len(users))
	for at, user := range users {
		if m.users[user.ID] != nil {
			results[at].Err = Taken{ID}
			continue
		}
		results[at].User, results[at].Err = m.store(user)
	}
	return results
}

func (m *Memory) Update(_ context.Context, id string, expected int64, edit func(*User)) (*User, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	old := m.users[id]
	if old == nil {
		return nil, Missing{}
	}
	user := *old
	edit(&user)
	return m.replace(old, user, expected)
}

func (m *Memory) Put(_ context.Context, user User, expected int64) (*User, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if old := m.users[user.ID]; old != nil {
		return m.replace(old, user, expected)
	}
	if expected != 0 {
		return nil, Missing{}
	}
	return m.store(user)
}

func (m *Memory) Delete(_ context.Context, id string, expected int64) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	user := m.users[id]
	if user == nil {
		return Missing{}
	}
	if expected != 0 && expected != user.Version {
		return Stale{user.Version}
	}
	delete(m.users, id)
	delete(m.owners, strings.ToLower(user.Email))
	m.deleted = append(m.deleted, Change{Revision: m.advance(), ID: id})
	return nil
}

func (m *Memory) List(_ context.Context, after string, limit int) ([]*User, bool, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	var users []*User
	for id, user := range m.users {
		if id > after {
			users = append(users, user)
		}
	}
	sort.Slice(users, func(a, b int) bool { return users[a].ID < users[b].ID })
	if len(users) > limit {
		return users[:limit], true, nil
	}
	return users, false, nil
}

func (m *Memory) Revision(context.Context) (int64, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.revision, nil
}

func (m *Memory) Changes(_ context.Context, after int64, limit int) ([]Change, <-chan struct{}, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if after < 0 || after > m.revision {
		return nil, nil, OutOfRange{Newest: m.revision}
	}
	var changes []Change
	for _, change := range m.deleted {
		if change.Revision > after {
			changes = append(changes, change)
		}
	}
	for id, user := range m.users {
		if user.Version > after {
			changes = append(changes, Change{Revision: user.Version, ID: id, User: user})
		}
	}
	sort.Slice(changes, func(a, b int) bool { return changes[a].Revision < changes[b].Revision })
	return changes[:min(limit, len(changes))], m.changed, nil
}

func (m *Memory) replace(old *User, user User, expected int64) (*User, error) {
	if expected != 0 && expected != old.Version {
		return nil, Stale{old.Version}
	}
	user.CreatedAt = old.CreatedAt
	return m.store(user)
}

// store is the only way in: users that are stored already are never changed, so readers need no lock.
func (m *Memory) store(user User) (*User, error) {
	key := strings.ToLower(user.Email)
	if owner, taken := m.owners[key]; taken && owner != user.ID {
		return nil, Taken{Email}
	}
	if old := m.users[user.ID]; old != nil {
		delete(m.owners, strings.ToLower(old.Email))
	}
	user.Version = m.advance()
	user.UpdatedAt = time.Now().UTC().Truncate(time.Millisecond)
	if user.CreatedAt.IsZero() {
		user.CreatedAt = user.UpdatedAt
	}
	m.owners[key] = user.ID
	m.users[user.ID] = &user
	return &user, nil
}

func (m *Memory) advance() int64 {
	m.revision++
	close(m.changed)
	m.changed = make(chan struct{})
	return m.revision
}
