# Flags suspicious mail and leaves it where it is: clients show a star or a red flag. A grave rule has fired, or the message
# is odd; people should look twice.
require ["imap4flags"];

if header :matches "X-Assay-Result" "v=1; trust=suspicious;*" {
    addflag "\\Flagged";
}
