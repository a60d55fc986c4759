#!/bin/sh
# Turn docs/nginx.conf, on standard input, into the configuration of the container `proxy` in docker-compose.yml.
# `resolve` (nginx 1.27.3) asks Compose's DNS for the replicas again every two seconds, so the upstreams follow `--scale`.
set -eu

echo "resolver 127.0.0.11 valid=2s ipv6=off;"
sed -e "/^upstream intake {/,/^}/ s/server 127\.0\.0\.1:8000/zone intake 64k; server public:8000 resolve/" \
    -e "/^upstream intake_internal {/,/^}/ s/server 127\.0\.0\.1:8000/zone intake_internal 64k; server internal:8000 resolve/" \
    -e "s#allow 192\.0\.2\.0/24;.*#$(printf 'allow %s; ' $INTERNAL_NETWORKS)#" \
    -e "s/intake\.example\.com/$PUBLIC_HOST/g" \
    -e "s/internal\.example\.com/$INTERNAL_HOST/g" \
    -e "s#/etc/ssl/\(certs\|private\)/#/intake/tls/#" \
    -e "s#/var/log/nginx/intake\.error\.log#/dev/stderr#" \
    -e "s#/var/log/nginx/intake\.log#/dev/stdout#"
