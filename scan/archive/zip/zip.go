// Package zip reads ZIP files as every program would read them (PKWARE APPNOTE.TXT 6.3.10): by the directory at the end, by
// the headers in front of the members, and by what both leave out. It yields the union, and says where the readings differ.
package zip
