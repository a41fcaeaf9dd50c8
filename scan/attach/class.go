package attach

import "strings"

// Classes of types: what one kind of program opens. The names of those that are text begin with "text".
const (
	classProgram     = "program"
	classTextProgram = "text-program" // scripts and shortcuts
	classJava        = "java"
	classHTML        = "text-html"
	classSVG         = "text-svg"
	classMHTML       = "text-mhtml"
	classText        = "text"
	classZIP         = "zip" // a ZIP file and nothing more
	classArchive     = "archive"
	classDisk        = "disk"
	classPDF         = "pdf"
	classRTF         = "text-rtf"
	classOOXML       = "ooxml"
	classODF         = "odf"
	classOLE         = "ole"
	classImage       = "image"
	classMedia       = "media" // sound and film
	classFont        = "font"
	classCrypto      = "crypto" // CMS, certificates, OpenPGP
	classMail        = "text-mail"
	classOther       = "other" // known, and in a class of its own
)

// classes are those of types that the prefix of the name does not tell. The table is never written.
var classes = map[string]string{
	typePE: classProgram, "application/x-dosexec": classProgram, "application/x-elf": classProgram,
	"application/x-mach-binary": classProgram, "application/java-vm": classProgram, "application/wasm": classProgram,
	"application/x-dex": classProgram, "application/x-msi": classProgram, "application/x-ms-shortcut": classProgram,
	"application/vnd.ms-htmlhelp": classProgram, "application/winhlp": classProgram, "application/onenote": classProgram,
	"application/vnd.debian.binary-package": classProgram, "application/x-rpm": classProgram, "application/x-xar": classProgram,
	"application/x-chrome-extension": classProgram, "application/appx": classProgram, "application/x-shockwave-flash": classProgram,
	"application/x-msaccess": classProgram, "application/x-installshield": classProgram,

	"text/x-script": classTextProgram, "application/internet-shortcut": classTextProgram, "application/x-desktop": classTextProgram,
	"application/x-ms-scf": classTextProgram, "text/x-ms-regedit": classTextProgram, "text/x-ms-iqy": classTextProgram,
	"application/x-sylk": classTextProgram, "application/x-java-jnlp-file": classTextProgram,
	"application/x-ms-active-xml": classTextProgram,

	typeJava: classJava, typeAPK: classJava,
	typeHTML: classHTML, typeXHTML: classHTML, typeSVG: classSVG, typeMHTML: classMHTML, typeMail: classMail,
	typeXML: classText, "application/json": classText, "application/x-pem-file": classText, "application/postscript": classOther,

	typeZIP: classZIP, "application/vnd.rar": classArchive, "application/x-7z-compressed": classArchive,
	"application/gzip": classArchive, "application/x-bzip2": classArchive, "application/x-xz": classArchive,
	"application/zstd": classArchive, "application/x-lz4": classArchive, "application/x-lzip": classArchive,
	"application/x-compress": classArchive, "application/vnd.ms-cab-compressed": classArchive, "application/x-tar": classArchive,
	"application/x-ace-compressed": classArchive, "application/x-arj": classArchive, "application/x-lzh-compressed": classArchive,
	"application/vnd.ms-tnef": classArchive, "text/x-uuencode": classText,

	"application/x-iso9660-image": classDisk, "application/x-udf-image": classDisk, "application/x-vhd": classDisk,
	"application/x-vhdx": classDisk, "application/x-vmdk": classDisk, "application/x-qcow2": classDisk, "application/x-luks": classDisk,

	"application/pdf": classPDF, "application/rtf": classRTF, "text/rtf": classRTF,
	"application/msword": classOLE, "application/vnd.ms-excel": classOLE, "application/vnd.ms-powerpoint": classOLE,
	"application/vnd.visio": classOLE, "application/vnd.ms-outlook": classOLE, typeOLE: classOLE,
	"application/x-ole-encrypted-package": classOLE, "application/vnd.ms-visio.drawing": classOOXML,

	typeCMS: classCrypto, "application/pkix-cert": classCrypto, "application/pkcs12": classCrypto,
	"application/pgp-encrypted": classCrypto, "application/pgp-signature": classCrypto, "application/pgp-keys": classCrypto,
	"application/x-age-encrypted": classCrypto, "application/x-openssl-encrypted": classCrypto, "application/x-keepass2": classCrypto,
	"application/vnd.sqlite3": classOther, "application/vnd.ms-outlook-pst": classOther, "application/epub+zip": classOther,
}

// classOf returns the class of a media type by content, "" if it has none.
func classOf(mediaType string) string {
	if c := classes[mediaType]; c != "" {
		return c
	}
	switch {
	case strings.HasPrefix(mediaType, "application/vnd.openxmlformats-"), strings.Contains(mediaType, ".macroenabled."):
		return classOOXML
	case strings.HasPrefix(mediaType, "application/vnd.oasis.opendocument."), strings.HasPrefix(mediaType, "application/vnd.sun.xml."):
		return classODF
	case strings.HasPrefix(mediaType, "text/"):
		return classText
	case strings.HasPrefix(mediaType, "image/"):
		return classImage
	case strings.HasPrefix(mediaType, "audio/"), strings.HasPrefix(mediaType, "video/"):
		return classMedia
	case strings.HasPrefix(mediaType, "font/"):
		return classFont
	}
	return ""
}

// ReadInFull reports whether the beginning of a file of this type says all there is: text and images contain no files, and a
// program is one whatever it contains.
func ReadInFull(mediaType string) bool {
	switch class := classOf(mediaType); class {
	case classText, classHTML, classSVG, classTextProgram, classProgram, classImage, classMedia, classFont:
		return mediaType != "text/x-uuencode"
	}
	return mediaType == "application/pgp-keys" || mediaType == "application/pkix-cert" || mediaType == "application/pgp-signature"
}

// expected says which classes of content the name or the claimed type of a file stands for.
type expected []string

// Classes that come together. The tables are never written.
var (
	anyText  = expected{classText, classTextProgram, classHTML, classSVG, classMHTML, classRTF, classMail, classCrypto}
	anyMedia = expected{classMedia}
	images   = expected{classImage}
	zipped   = expected{classZIP, classOOXML, classODF, classJava}
	word     = expected{classOLE, classOOXML, classRTF}
	office   = expected{classOOXML, classOLE} // encrypted documents are compound files
	programs = expected{classProgram, classArchive, classOLE}
)

// byExtension says what extensions stand for; those that are not listed, and the empty one, stand for anything.
var byExtension = map[string]expected{
	"pdf": {classPDF}, "rtf": word, "doc": word, "dot": word,
	"xls": office, "xlt": office, "ppt": office, "pps": office, "pot": office,
	"docx": office, "docm": office, "dotx": office, "dotm": office, "xlsx": office, "xlsm": office, "xltx": office, "xltm": office,
	"xlsb": office, "xlam": office, "pptx": office, "pptm": office, "ppsx": office, "ppsm": office, "potx": office, "potm": office,
	"odt": {classODF}, "ods": {classODF}, "odp": {classODF}, "odg": {classODF}, "epub": {classOther},
	"txt": anyText, "csv": anyText, "log": anyText, "md": anyText, "json": anyText, "xml": anyText, "ics": anyText,
	"vcf": anyText, "asc": anyText, "eml": anyText, "html": anyText, "htm": anyText, "xhtml": anyText, "shtml": anyText, "svg": {classSVG, classText},
	"mht": anyText, "mhtml": anyText,
	"jpg": images, "jpeg": images, "png": images, "gif": images, "bmp": images, "tif": images, "tiff": images, "webp": images,
	"heic": images, "ico": images, "jfif": images, "avif": images,
	"mp3": anyMedia, "wav": anyMedia, "ogg": anyMedia, "flac": anyMedia, "m4a": anyMedia, "aac": anyMedia, "mp4": anyMedia,
	"mov": anyMedia, "avi": anyMedia, "mkv": anyMedia, "webm": anyMedia, "mpg": anyMedia, "mpeg": anyMedia, "wmv": anyMedia,
	"zip": zipped, "jar": zipped, "apk": zipped, "rar": {classArchive}, "7z": {classArchive}, "gz": {classArchive}, "tgz": {classArchive},
	"bz2": {classArchive}, "xz": {classArchive}, "tar": {classArchive}, "cab": {classArchive}, "arj": {classArchive}, "lzh": {classArchive},
	"iso": {classDisk}, "vhd": {classDisk}, "vhdx": {classDisk},
	"exe": programs, "scr": programs, "dll": programs, "com": programs, "cpl": programs, "msi": programs,
	"p7m": {classCrypto, classText}, "p7s": {classCrypto, classText}, "p12": {classCrypto}, "pfx": {classCrypto},
	"msg": {classOLE},
}

// byDeclared says what claimed media types stand for. Those that are not listed stand for anything, as
// application/octet-stream does.
var byDeclared = map[string]expected{
	"application/pdf": {classPDF}, "application/rtf": word, "text/rtf": word, "application/msword": word,
	"application/vnd.ms-excel": {classOLE, classOOXML, classText}, "application/vnd.ms-powerpoint": office,
	"application/zip": zipped, "application/x-zip-compressed": zipped, "application/x-rar-compressed": {classArchive},
	"application/vnd.rar": {classArchive}, "application/gzip": {classArchive}, "application/x-gzip": {classArchive},
	"application/x-7z-compressed": {classArchive}, "application/pkcs7-mime": {classCrypto, classText},
	"application/pkcs7-signature": {classCrypto, classText}, "application/x-pkcs7-mime": {classCrypto, classText},
	"application/x-pkcs7-signature": {classCrypto, classText}, "image/svg+xml": {classSVG, classText},
	"application/xml": anyText, "application/json": anyText, "application/xhtml+xml": anyText, "message/rfc822": anyText,
}

// mismatch reports whether the content is of a class that an extension, or the claimed type, does not stand for. Content
// of an unknown type contradicts nothing.
func mismatch(sniffed, declared string, extensions []string) bool {
	class := classOf(sniffed)
	if class == "" {
		return false
	}
	for _, ext := range extensions {
		if want, known := byExtension[ext]; known && !want.has(class) {
			return true
		}
	}
	want := byDeclared[declared]
	switch {
	case want != nil:
	case strings.HasPrefix(declared, "application/vnd.openxmlformats-officedocument."), strings.Contains(declared, ".macroenabled"):
		want = office
	case strings.HasPrefix(declared, "application/vnd.oasis.opendocument."):
		want = expected{classODF}
	case strings.HasPrefix(declared, "image/"):
		want = images
	case strings.HasPrefix(declared, "audio/"), strings.HasPrefix(declared, "video/"):
		want = anyMedia
	case strings.HasPrefix(declared, "text/"):
		want = anyText
	}
	return want != nil && !want.has(class)
}

func (e expected) has(class string) bool {
	for _, c := range e {
		if c == class {
			return true
		}
	}
	return false
}
