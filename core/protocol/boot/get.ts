/**
 * How a shell on any machine fetches a file: `get URL FILE`, with whatever is there. POSIX sh.
 *
 * In this order: curl, wget, python3, perl (over https with IO::Socket::SSL alone, which perl-base lacks), openssl (https),
 * bash (http). Each verifies the server, but with `K=1`: that is for what is checked by a sum that is known already.
 * Whoever calls checks the sum or the last line: some of these take a body that was cut short for a whole one.
 */
import { quote } from "./quote.ts";

const python = [
  "import ssl,sys,shutil,urllib.request as r",
  "u,f,k=sys.argv[1:]",
  "c=ssl._create_unverified_context()if k else None",
  'shutil.copyfileobj(r.urlopen(u,timeout=30,context=c),open(f,"wb"))',
].join(";");

const perl = [
  "($u,$f,$k)=@ARGV;($t,$h,$p,$q)=$u=~m{^http(s?)://([^/:]+):?(\\d*)(/.*)} or exit 1",
  '$p||=$t?443:80;$c="IO::Socket::".($t?"SSL":"INET");eval"require $c"or exit 1;alarm 600',
  "$s=$c->new(PeerAddr=>$h,PeerPort=>$p,Timeout=>10,SSL_hostname=>$h,SSL_verifycn_name=>$h," +
    'SSL_verifycn_scheme=>"http",SSL_verify_mode=>$k?0:1)or exit 1',
  'print$s "GET $q HTTP/1.0\\r\\nHost: $h:$p\\r\\n\\r\\n";<$s>=~/ 200/ or exit 1;while(<$s>){last if/^\\r?$/}',
  'open O,">",$f;binmode O;while(read$s,$b,65536){print O $b or exit 1}close O or exit 1',
].join(";");

/** Defines `get`; `K`: not empty for a server that need not be verified. False, and no file, where nothing can fetch it. */
export const getFunction = `get() {
  rm -f "$2"
  { curl -fsSL \${K:+-k} --connect-timeout 10 -Y 1000 -y 30 -m 600 -o "$2" "$1" ||
  wget -q \${K:+--no-check-certificate} -T 20 -t 2 -O "$2" "$1" ||
  python3 -c ${quote(python)} "$1" "$2" "$K" ||
  perl -e ${quote(perl)} "$1" "$2" "$K" || raw "$1" "$2"; } >/dev/null 2>&1 && [ -s "$2" ] && return
  rm -f "$2"; return 1
}
raw() {
  q=/\${1#*://*/} h=\${1#*://}; h=\${h%%/*}; n=\${h%:*} p=\${h##*:}
  W=; command -v timeout && W="timeout 600"
  R="GET $q HTTP/1.0\\r\\nHost: $h\\r\\n\\r\\n"
  case $1 in
  https:*) [ "$n" != "$h" ] || p=443
    V="-verify_return_error -verify_hostname $n"; [ -z "$K" ] || V=
    printf "$R" | $W openssl s_client -quiet -connect "$n:$p" -servername "$n" $V >"$2.r" ;;
  *) [ "$n" != "$h" ] || p=80
    $W bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2" >&3 && cat <&3' "$n" "$p" "$R" >"$2.r" ;;
  esac
  head -n 1 "$2.r" | grep -q " 200" && LC_ALL=C sed "1,/^.\\{0,1\\}$/d" "$2.r" >"$2"
  r=$?; rm -f "$2.r"; return $r
}`;
