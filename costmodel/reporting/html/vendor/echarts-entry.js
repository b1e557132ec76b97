// What the page draws with, and no more: `build.sh` bundles it into echarts.slim.min.js.
export { init, use, format, graphic } from "echarts/core";
import { use } from "echarts/core";
import { LineChart, ScatterChart } from "echarts/charts";
import { AriaComponent, DataZoomInsideComponent, GridComponent, MarkLineComponent, MarkPointComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";
use([LineChart, ScatterChart, AriaComponent, DataZoomInsideComponent, GridComponent, MarkLineComponent, MarkPointComponent, TooltipComponent, SVGRenderer]);
