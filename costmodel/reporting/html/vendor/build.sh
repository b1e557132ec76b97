#!/usr/bin/env bash
# Makes the two scripts of this folder anew from the packages of npm, at the versions that README.md states.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund echarts@6.1.0 @dagrejs/dagre@3.1.3 esbuild@0.28.2
cp "$here/echarts-entry.js" .
npx esbuild echarts-entry.js --bundle --minify --format=iife --global-name=echarts --target=es2020 --legal-comments=none \
    '--define:process.env.NODE_ENV="production"' --outfile="$here/echarts.slim.min.js"
sed '/sourceMappingURL/d' node_modules/@dagrejs/dagre/dist/dagre.min.js >"$here/dagre.min.js"
cp node_modules/echarts/LICENSE "$here/LICENSE-echarts"
cp node_modules/echarts/NOTICE "$here/NOTICE-echarts"
cp node_modules/echarts/licenses/LICENSE-d3 "$here/LICENSE-d3"
cp node_modules/zrender/LICENSE "$here/LICENSE-zrender"
cp node_modules/tslib/LICENSE.txt "$here/LICENSE-tslib"
cp node_modules/@dagrejs/dagre/LICENSE "$here/LICENSE-dagre"
