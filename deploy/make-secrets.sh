#!/bin/sh
# Makes every secret that compose.yaml reads, once: random passwords, Redis' users, and a certificate
# for SQL Server. It overwrites nothing, so it may run again when a secret was added.
#
#   sh make-secrets.sh [FOLDER]     default: secrets, beside this file
#
# As root it also gives each file to the user of the container that reads it. Otherwise do that by
# hand: compose mounts secret files as they are, and only their owner may read them.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
cd "$folder"

MPE=10002:10002 SQLSERVER=10001 REDIS=999

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME OWNER [MODE]: standard input becomes the file, unless it is there.
keep() {
  if [ ! -e "$1" ]; then
    cat >"$1.new"
    chmod "${3:-400}" "$1.new"
    mv "$1.new" "$1"
    echo "made $folder/$1"
  else
    cat >/dev/null
  fi
  own "$1" "$2"
}
own() { if [ "$(id -u)" -eq 0 ]; then chown "$2" "$1"; fi; }

# SQL Server wants letters of both cases, digits and signs. The engine's passwords are read by the
# engine and, through its group, by the container that makes the logins.
printf 'Mpe-%s' "$(random)" | keep sqlserver_sa_password $SQLSERVER
for role in migrate gateway worker recovery admin; do
  printf 'Mpe-%s' "$(random)" | keep "sqlserver_${role}_password" $MPE 440
done

# What SQL Server shows to clients, and what they trust: this certificate and no other.
if [ ! -e sqlserver_tls_key ]; then
  openssl req -x509 -newkey rsa:3072 -sha256 -days 1825 -nodes -subj /CN=sqlserver \
    -addext 'subjectAltName=DNS:sqlserver' -keyout sqlserver_tls_key -out sqlserver_tls_certificate 2>/dev/null
  chmod 400 sqlserver_tls_key
  chmod 444 sqlserver_tls_certificate
  echo "made $folder/sqlserver_tls_key and sqlserver_tls_certificate"
fi
own sqlserver_tls_key $SQLSERVER

# Redis keeps hashes alone. Each role may touch the queue's keys and channels, and look at settings.
for role in gateway worker admin; do
  [ -e "redis_${role}_url" ] || printf 'redis://mpe-%s:%s@redis:6379' "$role" "$(random)" | keep "redis_${role}_url" $MPE
  own "redis_${role}_url" $MPE
done
{
  echo 'user default off'
  echo 'user health on nopass resetkeys resetchannels -@all +ping'
  for role in gateway worker admin; do
    password=$(sed 's|^redis://[^:]*:\([^@]*\)@.*|\1|' "redis_${role}_url")
    hash=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d' ' -f1)
    echo "user mpe-$role on #$hash resetkeys ~{mpe:* resetchannels &{mpe:* +@all -@admin -@dangerous +info +config|get +client|setname"
  done
} | keep redis_users $REDIS
