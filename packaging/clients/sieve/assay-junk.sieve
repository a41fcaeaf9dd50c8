# Files what a rule of Assay takes for junk into the folder Junk. This is the script that most systems need.
#
# Assay writes X-Spam-Flag: YES on the mail of a "junk" rule. On other mail a spam filter in front of Assay may have written
# the field, and this script heeds that too.
require ["fileinto", "mailbox"];

if header :is "X-Spam-Flag" "YES" {
    fileinto :create "Junk";
    stop;
}
