// Package dnstest serves a zone over real UDP and TCP on the loopback interface.
package dnstest
