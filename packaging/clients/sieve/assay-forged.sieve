# Files mail whose sender is forged into the folder Junk, and says so to clients that warn of phishing (Nextcloud Mail does
# when a message has both keywords). The owner of the domain in From says that such mail is not his.
#
# The pattern begins at the start of the field, and what a message says never gets there: the first words of X-Assay-Result
# are always "v=1; trust=", and Assay removes every field of that name that a message brings along.
#
# Mail that a person has released from the quarantine stays where it would be. It carries disposition=quarantine.
require ["fileinto", "mailbox", "imap4flags"];

if allof (header :matches "X-Assay-Result" "v=1; trust=forged;*",
          not header :matches "X-Assay-Result" "v=1; trust=forged; disposition=quarantine;*") {
    addflag ["$Junk", "$Phishing"];
    fileinto :create "Junk";
    stop;
}
