"""What all boards are made of: one look, one data source variable, a description on every panel."""

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_LETTERS = "ABCDEFGHIJKLMNOP"
_LAST = ["lastNotNull"]


def board(name, title, description):
    """An empty board with what it has in common with the others: uid jenner-NAME, links, data source and job."""
    return (dashboard.Dashboard(title).uid(f"jenner-{name}").description(description).tags(["jenner"]).readonly()
            .refresh("30s").time("now-6h", "now").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
            .link(dashboard.DashboardLink("Jenner").type(models.DashboardLinkType.DASHBOARDS).tags(["jenner"])
                  .as_dropdown(True).include_vars(True).keep_time(True))
            .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
            .with_variable(variable("job", "Coordinator", "label_values(jenner_build_info, job)")))


def variable(name, label, query, multi=True, first=None):
    """Values of a label. With `multi` several, all to begin with; else one, `first` to begin with."""
    made = (dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC))
    if multi:
        return made.multi(True).include_all(True).all_value(".+").current(models.VariableOption(text="All", value="$__all"))
    return made if first is None else made.current(models.VariableOption(text=first, value=first))


def filled(empty, *panels):
    """`empty` with panels and rows, a str being the title of a row; they find their places from left to right."""
    for panel in panels:
        empty = empty.with_row(dashboard.Row(panel)) if isinstance(panel, str) else empty.with_panel(panel)
    return empty


def note(content, height=4):
    return text.Panel().title("").description("How to read this board.").content(content).span(24).height(height)


def _queries(panel, queries, instant=False, as_table=False):
    for letter, (expression, legend) in zip(_LETTERS, queries, strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)
        query = query.instant() if instant else query.range()
        if as_table:
            query = query.format(prometheus_models.PromQueryFormat.TABLE)
        panel = panel.with_target(query)
    return panel


def _common(panel, title, description, unit, span, height):
    return (panel.title(title).description(description).unit(unit).datasource(SOURCE).span(span).height(height)
            .no_value("-"))


def lines(title, description, unit, *queries, span=12, height=8, stacked=False):
    """Queries (expression, legend) over time."""
    panel = _common(timeseries.Panel(), title, description, unit, span, height)
    panel = (panel.legend(common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
                          .display_mode(common_models.LegendDisplayMode.LIST))
             .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
                      .sort(common_models.SortOrder.DESCENDING))
             .axis_soft_min(0).fill_opacity(30 if stacked else 0))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    return _queries(panel, queries)


def banded(panel, name, color):
    """Draws the series NAME in `color`, and the room between "NAME low" and "NAME high" filled."""
    fixed = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})
    thin = [fixed, models.DynamicConfigValue("custom.lineWidth", 0)]
    return (panel.override_by_name(name, [fixed, models.DynamicConfigValue("custom.lineWidth", 2)])
            .override_by_name(f"{name} low", thin)
            .override_by_name(f"{name} high", [*thin, models.DynamicConfigValue("custom.fillBelowTo", f"{name} low"),
                                               models.DynamicConfigValue("custom.fillOpacity", 15)]))


def number(title, description, unit, *queries, span=4, red_from=None, red_below=None):
    """Now, as numbers; red from `red_from` on, or below `red_below`."""
    steps = [models.Threshold(value=None, color="text")]
    if red_from is not None:
        steps.append(models.Threshold(value=red_from, color="red"))
    if red_below is not None:
        steps = [models.Threshold(value=None, color="red"), models.Threshold(value=red_below, color="text")]
    panel = (_common(stat.Panel(), title, description, unit, span, 4).decimals(0)
             .reduce_options(common.ReduceDataOptions().calcs(_LAST))
             .graph_mode(common_models.BigValueGraphMode.NONE).color_mode(common_models.BigValueColorMode.VALUE)
             .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)))
    return _queries(panel, queries, instant=True)


def bars(title, description, unit, *queries, span=12, height=8):
    """Now, as one bar a series."""
    panel = (_common(bargauge.Panel(), title, description, unit, span, height).decimals(2)
             .reduce_options(common.ReduceDataOptions().calcs(_LAST))
             .orientation(common_models.VizOrientation.HORIZONTAL)
             .display_mode(common_models.BarGaugeDisplayMode.BASIC)
             .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC)))
    return _queries(panel, queries, instant=True)


def grid(title, description, unit, *queries, hidden=(), span=24, height=10):
    """Now, as a table: a column a label, then one a query, named by its legend."""
    panel = _queries(_common(table.Panel(), title, description, unit, span, height), queries, instant=True, as_table=True)
    values = {f"Value #{letter}" if len(queries) > 1 else "Value": legend
              for letter, (_, legend) in zip(_LETTERS, queries, strict=False)}
    return (panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
            .with_transformation(models.DataTransformerConfig(id_val="organize", options={
                "excludeByName": {name: True for name in ("Time", *hidden)}, "renameByName": values})))
