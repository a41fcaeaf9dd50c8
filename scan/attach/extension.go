package attach

// kindsOfExtensions says what systems do with a file by its extension. The table is never written.
var kindsOfExtensions = makeKinds()

// What an extension makes of a file.
type extensionKind int

const (
	executableKind extensionKind = iota + 1
	htmlKind
	diskImageKind
	archiveKind
	documentKind
)

// makeKinds builds the table. The extensions that run are those that mail programs block, and those that need one click
// and a confirmation nobody reads.
func makeKinds() map[string]extensionKind {
	kinds := make(map[string]extensionKind, 400)
	add := func(kind extensionKind, list ...string) {
		for _, ext := range list {
			kinds[ext] = kind
		}
	}
	// Programs, libraries, installers and packages.
	add(executableKind, "exe", "com", "scr", "pif", "cpl", "dll", "ocx", "sys", "drv", "msi", "msp", "mst", "msix", "msixbundle", "appx",
		"appxbundle", "appinstaller", "appref-ms", "application", "xbap", "gadget", "diagcab", "msu", "xll", "jar", "jnlp", "class", "vsto", "wll",
		"apk", "xpi", "crx", "deb", "rpm", "run", "appimage", "app", "pkg", "mpkg", "command", "terminal", "workflow", "ipa", "swf")
	// Scripts.
	add(executableKind, "js", "jse", "mjs", "vb", "vbs", "vbe", "vbp", "ws", "wsf", "wsc", "wsh", "sct", "shb", "shs", "hta", "bat",
		"cmd", "ps1", "ps1xml", "ps2", "psc1", "psc2", "psd1", "psm1", "psdm1", "sh", "bash", "csh", "ksh", "zsh", "py", "pyc", "pyo",
		"pyw", "pyz", "pyzw", "pl", "rb", "php", "lua", "ahk", "au3", "a3x", "cdxml", "scpt", "applescript", "action", "reg", "inf", "ins", "isp")
	// Shortcuts and files that make programs load something.
	add(executableKind, "lnk", "url", "website", "webloc", "inetloc", "fileloc", "mobileconfig", "scf", "desktop", "library-ms", "search-ms",
		"searchconnector-ms", "theme", "themepack", "deskthemepack", "settingcontent-ms", "contact", "group", "rdp", "iqy", "oqy", "dqy", "rqy", "slk", "udl",
		"chm", "hlp", "cnt", "hpj", "msc", "vsmacros", "vsw", "wsb", "one", "onepkg", "onetoc2", "fxp", "prg", "ade", "adp", "mad",
		"maf", "mag", "mam", "maq", "mar", "mas", "mau", "mav", "maw", "mcf", "mda", "mde", "mdt", "mdw", "mdz", "accde",
		"accdr", "accda", "msh", "msh1", "msh2", "mshxml", "msh1xml", "msh2xml", "ops", "osd", "pcd", "plg", "prf",
		"printerexport", "webpnp", "xnk", "its", "job", "grp")
	add(htmlKind, "html", "htm", "xhtml", "xht", "shtml", "shtm", "mht", "mhtml", "svg", "svgz", "htc", "htx")
	add(diskImageKind, "iso", "img", "vhd", "vhdx", "vmdk", "udf", "dmg", "toast", "nrg", "mdf", "qcow2", "daa")
	add(archiveKind, "zip", "zipx", "rar", "7z", "gz", "tgz", "bz2", "tbz", "tbz2", "xz", "txz", "zst", "lz", "lz4", "z", "tar", "cab", "arj",
		"ace", "lzh", "lha", "uue", "uu", "cpio", "r00", "001", "wim", "zoo", "arc", "xar")
	add(documentKind, "pdf", "doc", "docx", "docm", "dot", "dotx", "rtf", "odt", "xls", "xlsx", "xlsm", "xlsb", "ods", "csv", "ppt", "pptx",
		"pps", "ppsx", "odp", "txt", "log", "xml", "json", "eml", "msg", "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "heic",
		"mp3", "wav", "m4a", "ogg", "mp4", "avi", "mov", "mkv", "wmv", "ics", "vcf", "p7m", "p7s", "dwg", "psd", "pub", "vsd", "epub")
	return kinds
}

func isExecutableExtension(ext string) bool { return kindsOfExtensions[ext] == executableKind }
func isHTMLExtension(ext string) bool       { return kindsOfExtensions[ext] == htmlKind }
func isDiskImageExtension(ext string) bool  { return kindsOfExtensions[ext] == diskImageKind }
func isArchiveExtension(ext string) bool    { return kindsOfExtensions[ext] == archiveKind }
func isDocumentExtension(ext string) bool   { return kindsOfExtensions[ext] == documentKind }
