package tasks

import (
	"context"
	"fmt"

	"salescast/pkg/calendar"
	"salescast/pkg/synth"
	"salescast/pkg/table/parquet"
)

// planDays is how far the generated plan reaches beyond the sales: a quarter, the longest horizon that is forecast from it.
const planDays = 91

// DefaultGenerateOptions are the catalogue's ten stores and twenty products over three years.
func DefaultGenerateOptions() GenerateOptions {
	return GenerateOptions{Stores: 10, Items: 20, Start: calendar.DateOf(2022, 1, 1), End: calendar.DateOf(2024, 12, 31), Seed: 42}
}

// GeneratedData says what the columns of generated sales are; it holds for the workspace's own data step, so it names no source.
func GeneratedData() DataOptions {
	return DataOptions{
		Keys: []string{"store_id", "product_id"}, Time: "date", Target: "quantity_sold", Frequency: "D",
		KnownFuture: []string{"unit_price", "discount_percent", "promo", "closed", "renovation"},
		Static:      []string{"category"},
		Ignore:      []string{"revenue", "cost", "profit"}, // they follow from the target
		Missing:     "zero",
		Stockout:    "sold_out",
		Country:     "US",
	}
}

// Generate writes synthetic sales and what surrounds them into the workspace's data step:
//
//	sales/year=YYYY/month=MM/part-0000.parquet   every series and day, a plan without sales after the end
//	customer_traffic.parquet, inventory.parquet  by store and day; by series and Sunday
//	promotions.parquet, store_events.parquet     with those of the plan
//	truth.parquet                                the expected demand of every row, what was asked for and what was there
//	catalogue.json                               the stores and products
func Generate(ctx context.Context, env Env, o GenerateOptions) (*Result, error) {
	g, err := synth.New(synth.Options{
		Stores: o.Stores, Items: o.Items, Start: o.Start, End: o.End, Plan: planDays, Seed: o.Seed, Threads: env.Threads,
	})
	if err != nil {
		return nil, &Error{Kind: KindUsage, Op: "generate", Err: err, Hint: "see salescast generate --help"}
	}
	spec := stepSpec{Name: "data", Options: o, Seed: o.Seed, Force: o.Force, Salt: map[string]string{"synth": synth.Version}}
	return runStep(ctx, env, spec, func(ctx context.Context, s *Step) error {
		d := &dataset{step: s, generator: g, open: map[string]*tableFile{}}
		for _, x := range g.Stores {
			d.stores = append(d.stores, x.ID)
		}
		for _, x := range g.Products {
			d.products = append(d.products, x.ID)
		}
		return d.write(ctx)
	})
}

// The columns of the generated tables.
var (
	seriesColumns = []parquet.Column{
		{Name: "date", Type: parquet.Date}, {Name: "store_id", Type: parquet.Text}, {Name: "product_id", Type: parquet.Text},
	}
	salesColumns = append(seriesColumns[:3:3], []parquet.Column{
		{Name: "category", Type: parquet.Text},
		{Name: "quantity_sold", Type: parquet.Int, Nullable: true},
		{Name: "unit_price", Type: parquet.Int},
		{Name: "discount_percent", Type: parquet.Float},
		{Name: "promo", Type: parquet.Bool},
		{Name: "closed", Type: parquet.Bool},
		{Name: "renovation", Type: parquet.Bool},
		{Name: "sold_out", Type: parquet.Bool},
		{Name: "revenue", Type: parquet.Float, Nullable: true},
		{Name: "cost", Type: parquet.Float, Nullable: true},
		{Name: "profit", Type: parquet.Float, Nullable: true},
	}...)
	truthColumns = append(seriesColumns[:3:3], []parquet.Column{
		{Name: "expected_demand", Type: parquet.Float},
		{Name: "demand", Type: parquet.Int, Nullable: true},
		{Name: "on_hand", Type: parquet.Int, Nullable: true},
		{Name: "stockout", Type: parquet.Bool},
	}...)
	inventoryColumns = append(seriesColumns[:3:3], []parquet.Column{
		{Name: "inventory_level", Type: parquet.Int},
		{Name: "reorder_point", Type: parquet.Int},
		{Name: "days_of_supply", Type: parquet.Float},
	}...)
	trafficColumns = []parquet.Column{
		{Name: "date", Type: parquet.Date},
		{Name: "store_id", Type: parquet.Text},
		{Name: "customer_traffic", Type: parquet.Int},
		{Name: "weather_impact", Type: parquet.Float},
		{Name: "is_holiday", Type: parquet.Bool},
	}
	promotionColumns = []parquet.Column{
		{Name: "date", Type: parquet.Date},
		{Name: "product_id", Type: parquet.Text},
		{Name: "promotion_type", Type: parquet.Text},
		{Name: "discount_percent", Type: parquet.Float},
	}
	eventColumns = []parquet.Column{
		{Name: "store_id", Type: parquet.Text},
		{Name: "date", Type: parquet.Date},
		{Name: "event_type", Type: parquet.Text},
		{Name: "impact", Type: parquet.Float},
	}
)

// dataset is a data step while it is written. Its tables are streamed month by month.
type dataset struct {
	step             *Step
	generator        *synth.Generator
	stores, products []string
	open             map[string]*tableFile
	sold, stockouts  int64
}

// tableFile is one Parquet file of the step.
type tableFile struct {
	*parquet.TableWriter
	out *Output
}

// close ends the file and says how many rows it has.
func (t *tableFile) close() error {
	if err := t.Close(); err != nil {
		return err
	}
	t.out.Rows(t.Rows())
	return t.out.Close()
}

func (d *dataset) create(ctx context.Context, name string, columns []parquet.Column) (*tableFile, error) {
	out, err := d.step.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	w, err := parquet.NewTableWriter(out, columns)
	if err != nil {
		out.Abort()
		return nil, fmt.Errorf("data/%s: %w", name, err)
	}
	t := &tableFile{w, out}
	d.open[name] = t
	return t, nil
}

func (d *dataset) close(name string) error {
	if err := d.open[name].close(); err != nil {
		return fmt.Errorf("data/%s: %w", name, err)
	}
	delete(d.open, name)
	return nil
}

func (d *dataset) write(ctx context.Context) error {
	if err := d.step.WriteJSON(ctx, "catalogue.json", map[string]any{"stores": d.generator.Stores, "products": d.generator.Products}); err != nil {
		return err
	}
	whole := []struct {
		name    string
		columns []parquet.Column
	}{
		{"customer_traffic", trafficColumns},
		{"inventory", inventoryColumns},
		{"promotions", promotionColumns},
		{"store_events", eventColumns},
		{"truth", truthColumns},
	}
	for _, t := range whole {
		if _, err := d.create(ctx, t.name+".parquet", t.columns); err != nil {
			return err
		}
	}
	d.step.Phase("generate", d.generator.Rows())
	for m, err := range d.generator.Months(ctx) {
		if err == nil {
			err = d.month(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	for _, t := range whole {
		d.step.Rows(t.name, d.open[t.name+".parquet"].Rows())
		if err := d.close(t.name + ".parquet"); err != nil {
			return err
		}
	}
	d.step.Rows("sales", d.sold)
	d.step.Rows("plan", d.generator.Rows()-d.sold)
	d.step.Metric("stockout_share", float64(d.stockouts)/float64(d.sold))
	return nil
}

// month writes a month's part of every table.
func (d *dataset) month(ctx context.Context, m *synth.Month) error {
	if err := d.planned(m); err != nil {
		return err
	}
	name := fmt.Sprintf("sales/year=%04d/month=%02d/part-0000.parquet", m.Year, m.Month)
	sales, err := d.create(ctx, name, salesColumns)
	if err != nil {
		return err
	}
	for b := range m.Stores {
		if err := d.store(sales, b); err != nil {
			return err
		}
		d.step.Add(int64(b.Rows()))
	}
	return d.close(name)
}

func (d *dataset) store(sales *tableFile, b *synth.Block) error {
	x, stock, visitors := b.Sales(), b.Inventory(), b.Traffic()
	stores, products := parquet.Coded{Levels: d.stores, Codes: x.Store}, parquet.Coded{Levels: d.products, Codes: x.Product}
	err := sales.Write(x.Date, stores, products, parquet.Coded{Levels: synth.Categories, Codes: x.Category},
		x.Quantity, x.UnitPrice, x.Discount, x.Promo, x.Closed, x.Renovation, x.SoldOut, x.Revenue, x.Cost, x.Profit)
	if err != nil {
		return err
	}
	if err := d.open["truth.parquet"].Write(x.Date, stores, products, x.Expected, x.Demand, x.OnHand, x.Stockout); err != nil {
		return err
	}
	err = d.open["inventory.parquet"].Write(stock.Date, parquet.Coded{Levels: d.stores, Codes: stock.Store},
		parquet.Coded{Levels: d.products, Codes: stock.Product}, stock.Level, stock.ReorderPoint, stock.DaysOfSupply)
	if err != nil {
		return err
	}
	d.sold, d.stockouts = d.sold+int64(b.SoldRows()), d.stockouts+int64(b.Stockouts)
	return d.open["customer_traffic.parquet"].Write(visitors.Date, parquet.Coded{Levels: d.stores, Codes: visitors.Store},
		visitors.Visitors, visitors.Weather, visitors.Holiday)
}

func (d *dataset) planned(m *synth.Month) error {
	o, h := m.Offers(), m.Happenings()
	err := d.open["promotions.parquet"].Write(o.Date, parquet.Coded{Levels: d.products, Codes: o.Product},
		parquet.Coded{Levels: synth.PromotionTypes, Codes: o.Type}, o.Discount)
	if err != nil {
		return err
	}
	return d.open["store_events.parquet"].Write(parquet.Coded{Levels: d.stores, Codes: h.Store}, h.Date,
		parquet.Coded{Levels: synth.EventTypes, Codes: h.Type}, h.Impact)
}
