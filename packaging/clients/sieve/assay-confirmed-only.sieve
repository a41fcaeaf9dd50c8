# For a user who wants only mail from confirmed senders in the Inbox. All other mail goes to the folder Unconfirmed, where
# it can be read as before: much honest mail comes from senders who cannot be confirmed.
#
# Confirmed are the trust words verified and authenticated, and mail that came from this mail system itself, or from a
# system that its administrator trusts: it was not checked, and "skipped" says why.
require ["fileinto", "mailbox"];

if not header :matches "X-Assay-Result" ["v=1; trust=verified;*",
                                         "v=1; trust=authenticated;*",
                                         "v=1; trust=unverified; *; skipped=local; *",
                                         "v=1; trust=unverified; *; skipped=network; *"] {
    fileinto :create "Unconfirmed";
    stop;
}
