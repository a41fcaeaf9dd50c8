# Files suspicious mail into the folder Check. Use this one or assay-suspicious-flag.sieve, not both.
#
# Mail that a person has released from the quarantine stays where it would be. It carries disposition=quarantine.
require ["fileinto", "mailbox"];

if allof (header :matches "X-Assay-Result" "v=1; trust=suspicious;*",
          not header :matches "X-Assay-Result" "v=1; trust=suspicious; disposition=quarantine;*") {
    fileinto :create "Check";
    stop;
}
