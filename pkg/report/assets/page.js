(function () {
  'use strict';
  var D = JSON.parse(document.getElementById('payload').textContent);
  var $ = function (id) { return document.getElementById(id); };
  var all = [D.total].concat(D.series);
  var state = { at: 0, range: 'near', width: null };
  var DAY = 86400000;

  // dates returns n days of the grid from an ISO day on.
  function dates(start, n) {
    var out = [], d = new Date(start + 'T00:00:00Z');
    for (var i = 0; i < n; i++) {
      out.push(d.toISOString().slice(0, 10));
      if (D.step === 'month') d.setUTCMonth(d.getUTCMonth() + 1);
      else d = new Date(d.getTime() + (D.step === 'week' ? 7 : 1) * DAY);
    }
    return out;
  }
  function ink(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function see(hex, a) {
    var n = parseInt(hex.slice(1), 16);
    return 'rgba(' + (n >> 16) + ',' + (n >> 8 & 255) + ',' + (n & 255) + ',' + a + ')';
  }
  function number(v) {
    if (v === null || v === undefined) return '–';
    var a = Math.abs(v);
    return v.toLocaleString('en-US', { maximumFractionDigits: a >= 100 ? 0 : a >= 10 ? 1 : 2 });
  }

  function band(s, lo, hi, color, name) {
    if (!s || !s[lo] || !s[hi]) return [];
    var x = dates(s.start, s.point.length), keep = [];
    for (var i = 0; i < x.length; i++) if (s[lo][i] !== null && s[hi][i] !== null) keep.push(i);
    if (!keep.length) return [];
    var back = keep.slice().reverse();
    return [{
      x: keep.map(function (i) { return x[i]; }).concat(back.map(function (i) { return x[i]; })),
      y: keep.map(function (i) { return s[hi][i]; }).concat(back.map(function (i) { return s[lo][i]; })),
      fill: 'toself', fillcolor: color, line: { width: 0 }, mode: 'lines', hoverinfo: 'skip', name: name, type: 'scatter'
    }];
  }
  function line(x, y, name, style, unit) {
    return { x: x, y: y, name: name, mode: x.length === 1 ? 'markers' : 'lines', type: 'scatter', line: style, marker: { color: style.color, size: 7 }, connectgaps: false, hovertemplate: '%{y:,.5~g}' + (unit || '') };
  }
  function layout(extra) {
    var soft = ink('--soft'), grid = ink('--line');
    var l = {
      margin: { l: 52, r: 12, t: 8, b: 36 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false, hovermode: 'x unified', dragmode: 'pan',
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: soft },
      hoverlabel: { bgcolor: ink('--card'), bordercolor: grid, font: { color: ink('--ink') } },
      xaxis: { gridcolor: 'rgba(0,0,0,0)', linecolor: grid, zeroline: false, automargin: true },
      yaxis: { gridcolor: grid, zeroline: false, rangemode: 'tozero', automargin: true, fixedrange: true }
    };
    if (state.width) { l.width = state.width; l.height = 300; }
    Object.keys(extra).forEach(function (k) { l[k] = Array.isArray(extra[k]) ? extra[k] : Object.assign({}, l[k], extra[k]); });
    return l;
  }
  var config = { displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: false };

  function draw() {
    var s = all[state.at], green = ink('--accent-2'), dark = ink('--actual');
    var sold = dates(s.start || '1970-01-01', s.sold.length), traces = [];
    traces = traces.concat(band(s.tested, 'lo95', 'hi95', see(green, 0.10), '95 %'), band(s.next, 'lo95', 'hi95', see(green, 0.20), '95 %'), band(s.next, 'lo80', 'hi80', see(green, 0.26), '80 %'));
    traces.push(line(sold, s.sold, 'sold', { color: dark, width: 1.6 }));
    if (s.tested) traces.push(line(dates(s.tested.start, s.tested.point.length), s.tested.point, 'forecast then', { color: green, width: 1.6, dash: 'dot' }));
    var end = sold[sold.length - 1], last = end;
    var shapes = [];
    if (s.next) {
      var x = dates(s.next.start, s.next.point.length);
      last = x[x.length - 1];
      traces.push(line(x, s.next.point, 'forecast', { color: green, width: 2.6 }));
      shapes.push({ type: 'line', x0: end, x1: end, yref: 'paper', y0: 0, y1: 1, line: { color: ink('--naive'), width: 1, dash: 'dot' } });
    }
    var axis = {}, top = 0;
    if (last) {
      var ahead = s.next ? s.next.point.length : 1;
      var back = state.range === 'all' ? sold.length : state.range === 'year' ? (D.step === 'day' ? 365 : D.step === 'week' ? 52 : 12) : Math.max(5 * ahead, D.step === 'day' ? 28 : 12);
      var from = sold[Math.max(0, sold.length - back)] || last;
      var edge = dates(last, 2)[1];
      axis = { range: [from, edge], type: 'date', minallowed: sold[0] || from, maxallowed: edge };
      // The height is that of what is shown, not of all history.
      traces.forEach(function (t) { t.x.forEach(function (x, i) { if (x >= from && t.y[i] > top) top = t.y[i]; }); });
    }
    var still = document.querySelector('#chart .still');
    if (still) still.remove();
    Plotly.react('chart', traces, layout({ xaxis: axis, yaxis: { title: { text: D.unit + ' per ' + D.step, font: { size: 12 } }, range: [0, top * 1.05 || 1] }, shapes: shapes }), config);
    var about = $('about');
    about.textContent = '';
    var b = document.createElement('strong');
    b.textContent = s.name;
    about.append(b, s.note ? ' · ' + s.note : '');
    $('pick').value = String(state.at);
    [['.l-next', s.next], ['.l-tested', s.tested], ['.l-80', s.next && s.next.lo80 && s.next.hi80], ['.l-95', s.next && s.next.lo95 && s.next.hi95]].forEach(function (v) {
      document.querySelector('.legend ' + v[0]).classList.toggle('none', !v[1]);
    });
    figures(s);
  }

  function figures(s) {
    var t = $('figures'), head = t.querySelector('thead'), body = t.querySelector('tbody');
    head.textContent = ''; body.textContent = '';
    if (!s.next) return;
    var cols = [['Forecast', s.next.point], ['95\u00a0% from', s.next.lo95], ['80\u00a0% from', s.next.lo80], ['80\u00a0% to', s.next.hi80], ['95\u00a0% to', s.next.hi95]].filter(function (c) { return c[1]; });
    var row = function (parent, cells, tag) {
      var tr = document.createElement('tr');
      cells.forEach(function (c, i) {
        var e = document.createElement(i === 0 ? 'th' : tag);
        e.scope = tag === 'th' ? 'col' : i === 0 ? 'row' : '';
        if (!e.scope) e.removeAttribute('scope');
        e.textContent = c;
        tr.append(e);
      });
      parent.append(tr);
    };
    row(head, ['Date'].concat(cols.map(function (c) { return c[0]; })), 'th');
    dates(s.next.start, s.next.point.length).forEach(function (d, i) {
      var day = new Date(d + 'T00:00:00Z').toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
      row(body, [day].concat(cols.map(function (c) { return number(c[1][i]); })), 'td');
    });
  }

  function horizon() {
    var n = 0, palette = ['--m4', '--m5', '--m6', '--m3'], next = 0, traces = [], notes = [];
    var known = { xgboost: '--m1', lightgbm: '--m2', prophet: '--m3' };
    D.horizon.forEach(function (h) {
      var color = ink(h.role === 'primary' ? '--accent-2' : h.role === 'baseline' ? '--naive' : known[h.model] || palette[next++ % palette.length]);
      n = Math.max(n, h.wape.length);
      var t = line(h.wape.map(function (_, i) { return i + 1; }), h.wape, h.model, { color: color, width: h.role === 'primary' ? 3 : 1.6 });
      t.hovertemplate = '%{y:.1%}';
      t.order = h.role === 'primary' ? 1 : 0;
      traces.push(t);
      var last = h.wape.length - 1;
      while (last >= 0 && h.wape[last] === null) last--;
      if (last >= 0) notes.push({ x: last + 1, y: h.wape[last], text: h.role === 'primary' ? '<b>' + h.model + '</b>' : h.model, color: color });
    });
    traces.sort(function (a, b) { return a.order - b.order; });
    var top = 0;
    D.horizon.forEach(function (h) { h.wape.forEach(function (v) { if (v > top) top = v; }); });
    top = top * 1.06 || 1;
    // Names stand at the right ends of their lines; where those are close, apart from each other, each with a hair to its line.
    notes.sort(function (a, b) { return a.y - b.y; });
    var height = (state.width ? 230 : $('horizon').clientHeight) - 56, gap = 15;
    notes.forEach(function (v) { v.at = v.px = height * v.y / top; });
    for (var k = 0; k < 200; k++) for (var i = 1; i < notes.length; i++) {
      var lack = gap - (notes[i].at - notes[i - 1].at);
      if (lack > 0.1) { notes[i].at += lack / 2; notes[i - 1].at -= lack / 2; }
    }
    var low = notes.length ? Math.max(0, -notes[0].at) : 0;
    var longest = Math.max.apply(null, D.horizon.map(function (h) { return h.model.length; }));
    var l = layout({ xaxis: { title: { text: D.step + 's ahead', font: { size: 12 } }, range: [1, Math.max(n, 2)], fixedrange: true }, yaxis: { tickformat: '.0%', range: [0, top] }, margin: { r: 30 + 6.8 * longest } });
    l.annotations = notes.map(function (v) {
      return { x: v.x, y: v.y, ax: 22, ay: v.px - v.at - low, xanchor: 'left', yanchor: 'middle', text: v.text, showarrow: true, arrowhead: 0, arrowwidth: 0.8, arrowcolor: v.color, standoff: 2, font: { color: v.color, size: 12 } };
    });
    if (state.width) { l.width = Math.floor(state.width / 2) - 20; l.height = 230; }
    Plotly.react('horizon', traces, l, config);
  }

  function pick(i, scroll) {
    state.at = Math.min(Math.max(i, 0), all.length - 1);
    draw();
    if (scroll) { $('forecast').scrollIntoView(); $('pick').focus({ preventScroll: true }); }
  }

  function options() {
    var sel = $('pick'), group = null, name = null;
    all.forEach(function (s, i) {
      var o = document.createElement('option');
      o.value = String(i);
      o.textContent = s.name;
      if (i > 0 && s.group !== name) {
        name = s.group;
        group = document.createElement('optgroup');
        group.label = name;
        sel.append(group);
      }
      (i > 0 ? group : sel).append(o);
    });
    sel.addEventListener('change', function () { pick(+sel.value); });
    $('prev').addEventListener('click', function () { pick((state.at + all.length - 1) % all.length); });
    $('next').addEventListener('click', function () { pick((state.at + 1) % all.length); });
    document.querySelectorAll('[data-range]').forEach(function (b) {
      b.addEventListener('click', function () {
        state.range = b.dataset.range;
        document.querySelectorAll('[data-range]').forEach(function (o) { o.setAttribute('aria-pressed', String(o === b)); });
        draw();
      });
    });
    document.querySelectorAll('button.show').forEach(function (b) {
      b.addEventListener('click', function () { pick(+b.dataset.series + 1, true); });
    });
  }

  function table() {
    var body = document.querySelector('#all tbody'), rows = Array.prototype.slice.call(body.rows);
    var shown = function () {
      var q = $('filter').value.trim().toLowerCase(), n = 0;
      rows.forEach(function (r) { r.hidden = q !== '' && r.dataset.name.toLowerCase().indexOf(q) < 0; if (!r.hidden) n++; });
      $('shown').textContent = q === '' ? '' : n + ' of ' + rows.length;
    };
    $('filter').addEventListener('input', shown);
    document.querySelectorAll('#all th[data-sort]').forEach(function (th) {
      var b = document.createElement('button'), key = th.dataset.sort;
      b.type = 'button'; b.className = 'sort'; b.textContent = th.textContent;
      th.textContent = ''; th.append(b);
      b.addEventListener('click', function () {
        var up = th.getAttribute('aria-sort') === 'descending' || (key === 'name' && th.getAttribute('aria-sort') !== 'ascending');
        document.querySelectorAll('#all th[data-sort]').forEach(function (o) { o.removeAttribute('aria-sort'); });
        th.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        rows.sort(function (x, y) {
          var a = x.dataset[key], c = y.dataset[key];
          if (key === 'name') return (up ? 1 : -1) * a.localeCompare(c, 'en', { numeric: true });
          if (a === '' || c === '') return (a === '') - (c === '');
          return (up ? 1 : -1) * (a - c);
        });
        rows.forEach(function (r) { body.append(r); });
      });
    });
  }

  // A table wider than its place says that it goes on.
  function more() {
    document.querySelectorAll('.scroll').forEach(function (e) { e.classList.remove('more'); });
    document.querySelectorAll('.scroll').forEach(function (e) { e.classList.toggle('more', e.scrollWidth > e.clientWidth + 1); });
  }

  function redraw() { draw(); horizon(); more(); }
  addEventListener('resize', more);
  document.querySelectorAll('details').forEach(function (d) { d.addEventListener('toggle', more); });
  options();
  table();
  redraw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', function () { state.width = 676; redraw(); });
  addEventListener('afterprint', function () { state.width = null; redraw(); });
})();
