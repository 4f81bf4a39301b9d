// Many members of one memberlist cluster in one process, each with UDP and TCP sockets of its own,
// with the library's LAN defaults. Updates go through the library's own broadcast queue, as Serf
// sends user events: whoever hears of one for the first time tells it on.
//
//	memberlist NODES FIRST_PORT UPDATES PAUSE_MS
//
// Prints `ready` when all see all. After a line on its standard input it makes the updates, and
// prints for each the times in ms until each of the others had it, as a JSON list; then `done`, and
// it ends when its standard input does.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"log"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	payloadBytes = 300
	joinWithin   = 60 * time.Second
	updateWithin = 10 * time.Second
)

// update is one payload on its way.
type update struct{ payload []byte }

func (u *update) Invalidates(memberlist.Broadcast) bool { return false }
func (u *update) Message() []byte                       { return u.payload }
func (u *update) Finished()                             {}

// member is one node, as the library's delegate.
type member struct {
	list  *memberlist.Memberlist
	queue *memberlist.TransmitLimitedQueue
	mu    sync.Mutex
	seen  map[string]time.Time
}

func (m *member) NodeMeta(int) []byte { return nil }
func (m *member) GetBroadcasts(overhead, limit int) [][]byte {
	return m.queue.GetBroadcasts(overhead, limit)
}
func (m *member) LocalState(bool) []byte        { return nil }
func (m *member) MergeRemoteState([]byte, bool) {}
func (m *member) NotifyMsg(message []byte)      { m.take(message) }

// take notes an update and tells it on, if it is new.
func (m *member) take(message []byte) {
	at := time.Now()
	payload := append([]byte(nil), message...) // the library uses its buffer again
	m.mu.Lock()
	_, known := m.seen[string(payload)]
	if !known {
		m.seen[string(payload)] = at
	}
	m.mu.Unlock()
	if !known {
		m.queue.QueueBroadcast(&update{payload})
	}
}

func (m *member) at(payload string) (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, found := m.seen[payload]
	return at, found
}

func open(index, port int) (*member, error) {
	config := memberlist.DefaultLANConfig()
	config.Name = fmt.Sprintf("n%d", index)
	config.BindAddr, config.BindPort = "127.0.0.1", port
	config.AdvertiseAddr, config.AdvertisePort = "127.0.0.1", port
	config.Logger = log.New(ioutil.Discard, "", 0)
	made := &member{seen: map[string]time.Time{}}
	config.Delegate = made
	made.queue = &memberlist.TransmitLimitedQueue{
		NumNodes:       func() int { return made.list.NumMembers() },
		RetransmitMult: config.RetransmitMult,
	}
	list, err := memberlist.Create(config)
	made.list = list
	return made, err
}

func join(members []*member, first int) {
	seed := []string{fmt.Sprintf("127.0.0.1:%d", first)}
	for _, one := range members[1:] {
		if _, err := one.list.Join(seed); err != nil {
			log.Fatal(err)
		}
	}
	// Whoever missed a broadcast hears of it at the next exchange of whole states, which comes once
	// in a minute in clusters of this size; we ask for one.
	for deadline := time.Now().Add(joinWithin); ; time.Sleep(time.Second) {
		whole := true
		for _, one := range members {
			if one.list.NumMembers() != len(members) {
				whole = false
				_, _ = one.list.Join(seed)
			}
		}
		if whole {
			return
		}
		if time.Now().After(deadline) {
			log.Fatal("not all see all")
		}
	}
}

// spread sends one update, and returns how long each of the others that got it took, in ms.
func spread(members []*member, owner, number int) []float64 {
	payload := fmt.Sprintf("%0*d", payloadBytes, number)
	began := time.Now()
	members[owner].take([]byte(payload))
	for time.Since(began) < updateWithin {
		lacking := 0
		for _, one := range members {
			if _, found := one.at(payload); !found {
				lacking++
			}
		}
		if lacking == 0 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	took := []float64{}
	for index, one := range members {
		if at, found := one.at(payload); found && index != owner {
			took = append(took, float64(at.Sub(began))/1e6)
		}
	}
	return took
}

func number(at int) int {
	value, err := strconv.Atoi(os.Args[at])
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	nodes, first, updates := number(1), number(2), number(3)
	pause := time.Duration(number(4)) * time.Millisecond
	members := make([]*member, nodes)
	for index := range members {
		made, err := open(index, first+index)
		if err != nil {
			log.Fatal(err)
		}
		members[index] = made
	}
	join(members, first)
	fmt.Println("ready")
	input := bufio.NewReader(os.Stdin)
	if _, err := input.ReadString('\n'); err != nil {
		return
	}
	for each := 0; each < updates; each++ {
		time.Sleep(pause)
		line, _ := json.Marshal(spread(members, rand.Intn(nodes), each))
		fmt.Println(string(line))
	}
	fmt.Println("done")
	_, _ = input.ReadString('\n')
}
